"""PixelCNN (van den Oord, Kalchbrenner & Kavukcuoglu 2016), arXiv:1601.06759.

    layer(h) = h + conv1(relu(conv3_B(relu(conv1(relu(h))))))      2h -> h -> h -> 2h features

in the frame of `zoo.nn.causal.residual`.

Its masked windows leave a blind spot: pixels above and to the right that no depth brings into view
(arXiv:1606.05328). `GatedPixelCNN` has none.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from flows.nn.conditioner import ContextProjection
from zoo.nn.causal.convolution import masked_conv
from zoo.nn.causal.places import Place
from zoo.nn.causal.residual import ResidualCausalNetwork
from zoo.settings import passes_on


class PixelCNN(ResidualCausalNetwork):
    """See the module's docstring.

    Args:
        image_shape: (C, H, W).
        features: F, of what is returned at each pixel.
        blocks: number of residual blocks.
        options: of `ResidualCausalNetwork`.
    """

    @passes_on(ResidualCausalNetwork, supplied=("layers",))
    def __init__(self, image_shape: Sequence[int], features: int, *, blocks: int = 7, **options: Any) -> None:
        super().__init__(image_shape, features, layers=blocks, **options)

    def layer(self, channels: int, **options: Any) -> "Block":
        """A residual block."""
        return Block(channels, **options)


class Block(nn.Module):
    """A residual block of `PixelCNN`."""

    def __init__(
        self, channels: int, *, groups: int, context: tuple[int, ...] | None, size: Sequence[int]
    ) -> None:
        super().__init__()
        wide = 2 * channels
        self.narrow = masked_conv(wide, channels, 1, kind="B", groups=groups)
        self.conv = masked_conv(channels, channels, 3, kind="B", groups=groups)
        self.widen = masked_conv(channels, wide, 1, kind="B", groups=groups)
        self.context = ContextProjection(context, (channels, *size)) if context else None

    def forward(self, h: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """The sum of h and what the block adds."""
        u = self.conv(self.narrow(h.relu(), at).relu(), at)
        if self.context is not None and context is not None:
            u = u + at.fixed(self.context, context)
        return h + self.widen(u.relu(), at)
