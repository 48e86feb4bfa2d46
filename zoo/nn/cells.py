"""The layers of NVAE's cells (Vahdat & Kautz 2020), arXiv:2007.03898, sections 3.1 and A.

    y = skip(x) + 0.1 SE(f(x))

f is a few convolutions, each after a normalisation and an activation; SE weighs its channels by their means
over the image; skip is x itself, or x at another resolution. `zoo.nn.residual_cells` makes the cells.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.nn.layers import Shape, require_images
from zoo.nn.weight_norm import gain_of, normalised


class LogNormConv2d(nn.Conv2d):
    """`nn.Conv2d` with W_f = exp(l_f) v_f / |v_f|, weight normalisation with a log gain (arXiv:1602.07868).

    v and W are at first those of `nn.Conv2d`, without data-dependent initialisation. `weight` is v, masked
    where there is a mask.
    """

    mask: Tensor | None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register_buffer("mask", None)
        self.log_gain = nn.Parameter(self.weight.new_empty(self.out_channels))
        self.start()

    @torch.no_grad()
    def start(self, factor: float = 1.0) -> None:
        """Set the log gain so that W is `factor` times v."""
        if not self.weight.is_meta:  # a norm on the meta device takes long, and has no value
            self.log_gain.copy_((factor * gain_of(self.direction())).log())

    def direction(self) -> Tensor:
        """The direction v, masked."""
        return self.weight if self.mask is None else self.weight * self.mask

    def effective(self) -> Tensor:
        """The weight W."""
        return normalised(self.direction(), self.log_gain.exp())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return self._conv_forward(x, self.effective(), self.bias)


def convolution(c: int, d: int, kernel: int, *, stride: int = 1) -> LogNormConv2d:
    """A weight-normalised convolution with a bias that keeps the resolution, or divides it by the stride."""
    return LogNormConv2d(c, d, kernel, stride=stride, padding=kernel // 2)


class ResidualCell(nn.Module):
    """skip(x) + 0.1 gate(body(x)).

    Args:
        skip: of x.
        body: of x.
        gate: of the body's output.
    """

    def __init__(self, skip: nn.Module, body: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.skip, self.body, self.gate = skip, body, gate

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return torch.add(self.skip(x), self.gate(self.body(x)), alpha=0.1)


class SqueezeExcite(nn.Module):
    """x sigmoid(W relu(V mean_pixels(x))), one factor per channel (arXiv:1709.01507).

    Args:
        channels: C; the hidden layer has C / 16 units, 4 at least.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 4)
        self.squeeze, self.excite = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        factors = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        return x * factors[:, :, None, None]


class FactorisedReduce(nn.Module):
    """x at half the resolution: four strided 1x1 convolutions side by side, one for each pixel of a square.

    Args:
        in_channels: C.
        out_channels: C'.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        quarter = out_channels // 4
        widths = [quarter, quarter, quarter, out_channels - 3 * quarter]
        self.convs = nn.ModuleList(LogNormConv2d(in_channels, width, 1, stride=2) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/2, W/2), H and W even."""
        x = F.silu(x)
        corners = [(0, 0), (1, 1), (0, 1), (1, 0)]
        parts = zip(self.convs, corners, strict=True)
        return torch.cat([conv(x[:, :, i:, j:]) for conv, (i, j) in parts], dim=1)


def skip(c: int, d: int, resample: int) -> nn.Module:
    """The map x to d channels, at the same, half or twice the resolution."""
    if resample < 0:
        return FactorisedReduce(c, d)
    if resample > 0:
        bilinear = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        return nn.Sequential(bilinear, LogNormConv2d(c, d, 1, bias=False))
    return nn.Identity() if c == d else convolution(c, d, 1)


class Cells(nn.Sequential):
    """Cells in sequence: a pure function, the unit of activation checkpoints."""


class PaddedImage(nn.Module):
    """Images in [-1, 1], padded with -1 on all sides until both are multiples of a number.

    Args:
        image_shape: (C, H, W).
        multiple: of which the padded sides are to be multiples.
        binary: whether the images are in [0, 1] and not on the grid -1 .. 1.
    """

    def __init__(self, image_shape: Shape, multiple: int, *, binary: bool) -> None:
        super().__init__()
        self.binary, self.image_shape = binary, tuple(image_shape)
        channels, *size = image_shape
        self.size = [multiple * math.ceil(side / multiple) for side in size]
        self.out_shape = (channels, *self.size)
        self.before = [(padded - side) // 2 for padded, side in zip(self.size, size, strict=True)]
        self.inside = [slice(a, a + side) for a, side in zip(self.before, size, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W').

        Raises:
            ValueError: for images of another shape.
        """
        require_images(x, self.image_shape)
        x = 2 * x - 1 if self.binary else x
        (top, left), (height, width) = self.before, x.shape[2:]
        pad = (left, self.size[1] - width - left, top, self.size[0] - height - top)
        return F.pad(x, pad, value=-1.0) if any(pad) else x

    def crop(self) -> "Crop":
        """The module that undoes the padding."""
        return Crop(self.inside)


class Crop(nn.Module):
    """The image inside a padded one.

    Args:
        inside: the rows and the columns that are kept.
    """

    def __init__(self, inside: Sequence[slice]) -> None:
        super().__init__()
        self.inside = tuple(inside)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H', W') -> (B, C, H, W)."""
        return x[:, :, self.inside[0], self.inside[1]]
