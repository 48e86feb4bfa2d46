"""PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016), arXiv:1601.06759.

    h = conv_A(x)                                       7 x 7
    h = h + conv1(relu(conv3_B(relu(conv1(relu(h))))))  blocks of 2h -> h -> h -> 2h features
    features = conv1(relu(conv1(relu(h))))

Its masked windows leave a blind spot: pixels above and to the right that no depth brings into view
(arXiv:1606.05328). `GatedPixelCNN` has none.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from flows.nn.conditioner import FromContext
from zoo.conversion import Odd
from zoo.nn.causal.convolution import masked_conv
from zoo.nn.causal.network import CausalNetwork
from zoo.nn.causal.places import Place


class PixelCNN(CausalNetwork):
    """See the module's docstring.

    Args:
        image_shape: (C, H, W).
        features: F, of what is returned at each pixel.
        channels: h, half the width of the residual stream.
        blocks: residual blocks.
        head: channels of the last hidden layer.
        kernel: of the first layer.
        groups: see `CausalNetwork`.
        context: shape of one context; it is added in every block.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        features: int,
        *,
        channels: int = 16,
        blocks: int = 7,
        head: int = 32,
        kernel: Odd = 7,
        groups: int = 1,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(image_shape, groups=groups, context=context, margin=kernel // 2)
        wide = 2 * channels
        self.out_shape = (features, *self.event_shape[1:])
        self.first = masked_conv(self.event_shape[0], wide, kernel, kind="A", groups=groups, reads_image=True)
        self.blocks = nn.ModuleList(
            Block(channels, groups, self.context_shape, self.event_shape[1:]) for _ in range(blocks)
        )
        self.head = masked_conv(wide, head, 1, kind="B", groups=groups)
        self.last = masked_conv(head, features, 1, kind="B", groups=groups)

    def features(self, x: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """Features at a place."""
        h = self.first(x, at)
        for block in self.blocks:
            h = block(h, context, at)
        return self.last(self.head(h.relu(), at).relu(), at)


class Block(nn.Module):
    """A residual block of `PixelCNN`."""

    def __init__(
        self, channels: int, groups: int, context: tuple[int, ...] | None, size: Sequence[int]
    ) -> None:
        super().__init__()
        wide = 2 * channels
        self.narrow = masked_conv(wide, channels, 1, kind="B", groups=groups)
        self.conv = masked_conv(channels, channels, 3, kind="B", groups=groups)
        self.widen = masked_conv(channels, wide, 1, kind="B", groups=groups)
        self.context = FromContext(context, (channels, *size)) if context else None

    def forward(self, h: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """The sum of h and what the block adds."""
        u = self.conv(self.narrow(h.relu(), at).relu(), at)
        if self.context is not None and context is not None:
            u = u + at.fixed(self.context, context)
        return h + self.widen(u.relu(), at)
