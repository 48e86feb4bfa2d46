"""The frame that PixelCNN and the PixelRNNs share (van den Oord et al. 2016), arXiv:1601.06759.

h = conv_A(x)                            7 x 7
h = layer(h)                             residual, of 2h features, once per layer
features = conv1(relu(conv1(relu(h))))
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.conversion import Odd
from zoo.nn.causal.convolution import masked_conv
from zoo.nn.causal.network import CausalNetwork
from zoo.nn.causal.places import Place


class ResidualCausalNetwork(CausalNetwork):
    """Base of networks that define `layer`; see the module's docstring.

    Args:
        image_shape: (C, H, W).
        features: F, of what is returned at each pixel.
        channels: h, half the width of the residual stream.
        layers: number of residual layers.
        head: channels of the last hidden layer.
        kernel: width of the first layer's window, odd.
        groups: see `CausalNetwork`.
        context: shape of one context; every layer adds it.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        features: int,
        *,
        channels: int = 16,
        layers: int = 7,
        head: int = 32,
        kernel: Odd = 7,
        groups: int = 1,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(image_shape, groups=groups, context=context, margin=kernel // 2)
        wide, size = 2 * channels, self.event_shape[1:]
        self.out_shape = (features, *size)
        self.first = masked_conv(self.event_shape[0], wide, kernel, kind="A", groups=groups, reads_image=True)
        self.layers = nn.ModuleList(
            self.layer(channels, groups=groups, context=self.context_shape, size=size) for _ in range(layers)
        )
        self.head = masked_conv(wide, head, 1, kind="B", groups=groups)
        self.last = masked_conv(head, features, 1, kind="B", groups=groups)

    def layer(self, channels: int, **options: Any) -> nn.Module:
        """One of the layers: called with h (N, 2 `channels`, H, W), the context and the place, returns h.

        Args:
            channels: h.
            options: `groups`, `context` and `size`, (H, W).
        """
        raise NotImplementedError

    def features(self, x: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """Features at a place."""
        h = self.first(x, at)
        for layer in self.layers:
            h = layer(h, context, at)
        return self.last(self.head(h.relu(), at).relu(), at)
