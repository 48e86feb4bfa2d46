"""The gated residual block of PixelCNN++ (arXiv:1701.05517), causal.

u = conv(e(x)) + conv1(e(aux)),    e(x) = elu([x, -x])
a, b = conv(dropout(e(u))) + h W
y = x + a sigmoid(b)

`zoo.nn.gated_resnet` is BIVA's variant of the same block. They share the gate only: that one goes between
resolutions, with elu(x) and a shortcut of other channels, this one is evaluated at a `Place`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.nn.activations import concat_elu
from zoo.nn.causal.places import Place

Conv = Callable[..., Any]


class CausalGatedResNet(nn.Module):
    """See the module's docstring.

    Args:
        channels: of x and y.
        conv: makes the convolution between two numbers of channels, `scale` as in `CausalConv2d`.
        pointwise: makes that of 1 x 1.
        aux: how many maps of `channels` channels come as aux.
        dropout: probability.
        condition: makes what a context adds to a number of channels, None without one.
    """

    def __init__(
        self,
        channels: int,
        conv: Conv,
        *,
        pointwise: Conv,
        aux: int,
        dropout: float,
        condition: Callable[[int], nn.Module | None],
    ) -> None:
        super().__init__()
        self.first = conv(2 * channels, channels)
        self.aux = pointwise(2 * aux * channels, channels) if aux else None
        self.second = conv(2 * channels, 2 * channels, scale=0.1)
        self.condition = condition(2 * channels)
        self.dropout = dropout

    def forward(self, x: Tensor, aux: Sequence[Tensor], context: Tensor | None, at: Place) -> Tensor:
        """The block's output at a place."""
        u = self.first(concat_elu(x), at)
        if self.aux is not None:
            u = u + self.aux(concat_elu(*aux), at)
        u = self.second(F.dropout(concat_elu(u), self.dropout, self.training), at)
        if self.condition is not None and context is not None:
            u = u + at.fixed(self.condition, context)
        return x + F.glu(u, dim=1)
