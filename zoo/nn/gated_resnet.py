"""The gated residual block of PixelCNN++ (arXiv:1701.05517) as BIVA uses it (arXiv:1902.02102).

    u = conv(elu(x)) + resample(elu(aux))
    a, b = conv_stride(dropout(elu(u)))
    y = shortcut(x) + a * sigmoid(b)

The stride sits on the second convolution, transposed where the block goes up.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.nn.activations import elu
from zoo.nn.layers import Shape, resample, smaller, strides_between, transposed


class GatedResNet(nn.Module):
    """One gated residual block between two maps of any resolution.

    Args:
        in_shape: (C, H, W).
        out_shape: (C', H', W').
        kernel: odd.
        aux_shape: shape (C", H", W") of the auxiliary features, if there are any; any resolution.
        shortcut: whether x is added to the result. The shortcut has no parameters: it is averaged (down) or
            repeated (up) to the new resolution and padded with zero channels, and left out where channels
            would be lost.
        dropout: probability, between the two convolutions.
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        *,
        kernel: int = 3,
        aux_shape: Shape | None = None,
        shortcut: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels = out_shape[0]
        inner = (channels, *in_shape[1:])
        self.out_shape = tuple(out_shape)
        self.first = nn.Conv2d(in_shape[0], channels, kernel, padding=kernel // 2)
        self.aux = resample(aux_shape, inner, kernel) if aux_shape else None
        self.second = _second(inner, (2 * channels, *out_shape[1:]), kernel)
        self.shortcut = Shortcut(out_shape) if shortcut and channels >= in_shape[0] else None
        self.dropout = dropout

    def forward(self, x: Tensor, aux: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B, C", H", W") -> (B, C', H', W')."""
        u = self.first(elu(x))
        if self.aux is not None and aux is not None:
            u = u + self.aux(elu(aux))
        u = F.dropout(elu(u), self.dropout, self.training)
        a, b = self.second(u).chunk(2, dim=1)
        y = a * torch.sigmoid(b)
        return y if self.shortcut is None else y + self.shortcut(x)


class Shortcut(nn.Module):
    """x at another resolution and with more channels, without parameters."""

    def __init__(self, out_shape: Shape) -> None:
        super().__init__()
        self.channels, *self.size = out_shape

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        size = list(x.shape[2:])
        if smaller(self.size, size):
            x = F.avg_pool2d(x, strides_between(size, self.size), ceil_mode=True)
        elif size != self.size:
            x = F.interpolate(x, self.size)
        missing = self.channels - x.shape[1]
        return F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x


def _second(inner: Shape, out: Shape, kernel: int) -> nn.Module:
    (c, *size), (d, *target) = inner, out
    if size == target:
        return nn.Conv2d(c, d, kernel, padding=kernel // 2)
    if smaller(target, size):
        return resample(inner, out, kernel)
    return transposed(c, d, kernel, size, target)
