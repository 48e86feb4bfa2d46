"""The gated residual block of PixelCNN++ (arXiv:1701.05517) as BIVA uses it (arXiv:1902.02102).

    u = conv(elu(x)) + resample(elu(aux))
    a, b = conv_stride(dropout(elu(u)))
    y = shortcut(x) + a * sigmoid(b)

The stride sits on the second convolution, transposed where the block goes up. The published shortcut has no
parameters: where the block has more channels than x, it pads x with zeros. So the image itself is channel 0
of the features, which costs a weight-normalised hierarchy 10 to 17 nats at first:

    ELBO in nats, mean +- standard error of three seeds      BIVA             LVAE+
    300 steps     shortcut="none"                            -126.4 +- 0.7    -126.1 +- 1.3
                  shortcut="project"                         -127.6 +- 1.3    -127.5 +- 1.5
                  shortcut="pad"                             -136.9 +- 1.1    -142.7 +- 1.4
    3,000 steps   shortcut="none"                             -97.8 +- 0.2     -98.7 +- 0.6
                  shortcut="pad"                              -98.3 +- 0.2     -99.0 +- 0.1

on 2,000 test images, by ``zoo train biva_mnist_small --seed SEED --steps STEPS --batch-size 24`` and by
``lvae_plus_mnist_small``, SEED 0, 1, 2, one CPU thread, with ``--set binarize=static --set weight_norm=true
--set scale=published --set learning_rate=2e-3 --set ema=0 --set free_bits=2 --set free_bits_steps=none
--set validation=0 --images 2000 --samples 2``. The first steps pay the
cost; later little is left: seed by seed, "none" is 0.54 +- 0.08 nats better for BIVA, 0.3 +- 0.5 for LVAE+.
(`vae_digits`, seed 0, without weight normalisation: -17.31 and -17.36.)
"""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.nn.activations import elu
from zoo.nn.layers import Shape, resample, smaller, strides_between, transposed

WhereChannelsGrow = Literal["none", "project", "pad"]


class GatedResNet(nn.Module):
    """One gated residual block between two maps of any resolution.

    Args:
        in_shape: (C, H, W).
        out_shape: (C', H', W').
        kernel: odd.
        aux_shape: shape (C", H", W") of the auxiliary features, if there are any; any resolution.
        residual: whether x is added to the result, averaged (down) or repeated (up) to its resolution. It is
            left out where channels would be lost.
        shortcut: x where channels are gained: "none", it is left out; "project", through a 1x1 convolution;
            "pad", with zero channels, as published.
        dropout: probability, between the two convolutions.

    Raises:
        ValueError: for another shortcut.
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        *,
        kernel: int = 3,
        aux_shape: Shape | None = None,
        residual: bool = True,
        shortcut: WhereChannelsGrow = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels = out_shape[0]
        inner = (channels, *in_shape[1:])
        self.out_shape = tuple(out_shape)
        self.first = nn.Conv2d(in_shape[0], channels, kernel, padding=kernel // 2)
        self.aux = resample(aux_shape, inner, kernel) if aux_shape else None
        self.second = _second(inner, (2 * channels, *out_shape[1:]), kernel)
        self.shortcut = _shortcut(in_shape, out_shape, shortcut) if residual else None
        self.dropout = dropout

    def forward(self, x: Tensor, aux: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B, C", H", W") -> (B, C', H', W')."""
        u = self.first(elu(x))
        if self.aux is not None and aux is not None:
            u = u + self.aux(elu(aux))
        u = F.dropout(elu(u), self.dropout, self.training)
        y = F.glu(self.second(u), dim=1)
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


def _shortcut(in_shape: Shape, out_shape: Shape, where_channels_grow: WhereChannelsGrow) -> nn.Module | None:
    if where_channels_grow not in get_args(WhereChannelsGrow):
        raise ValueError(f"expected shortcut none, project or pad; got {where_channels_grow!r}")
    (before, *_), (after, *size) = in_shape, out_shape
    if before == after or (before < after and where_channels_grow == "pad"):
        return Shortcut(out_shape)
    if before < after and where_channels_grow == "project":
        return nn.Sequential(Shortcut((before, *size)), nn.Conv2d(before, after, 1))
    return None


def _second(inner: Shape, out: Shape, kernel: int) -> nn.Module:
    (c, *size), (d, *target) = inner, out
    if size == target:
        return nn.Conv2d(c, d, kernel, padding=kernel // 2)
    if smaller(target, size):
        return resample(inner, out, kernel)
    return transposed(c, d, kernel, size, target)
