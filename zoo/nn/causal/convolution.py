r"""Convolutions that see some of the pixels around their own, never a later one.

    y(r, c) = sum_{i, j} (W * mask)_ij x(r - top + i, c - left + j)

With ``top`` = height the window ends above its row, with ``top`` = height - 1 in it. With a stride, y is
kept only at every second row and column; `DoublingConv2d` returns to the full resolution.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.nn.masked_conv import channel_mask
from zoo.nn.causal.places import EVERYWHERE, Place
from zoo.nn.weight_norm import gain_of, normalised


class CausalConv2d(nn.Module):
    """A convolution of a window of any place; see the module's docstring.

    Args:
        in_channels: C.
        out_channels: F.
        window: its height and width.
        top: rows of the window above its pixel, and as many of padding.
        left: columns of the window to the left of its pixel.
        reads_image: whether its input is the network's own input, the embedded image.
        mask: boolean, broadcasts with the weight (F, C, height, width); by default nothing is masked.
        stride: 1 or 2.
        weight_norm: whether the weight is normalised, see `zoo.nn.weight_norm`.
        scale: standard deviation of the output once `initialise` has run.

    Shapes: x (N, C, H, W) -> (N, F, H, W), sizes divided by the stride and rounded up.
    """

    mask: Tensor | None
    gain: nn.Parameter | None
    bias: nn.Parameter

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: tuple[int, int],
        *,
        top: int,
        left: int,
        reads_image: bool = False,
        mask: Tensor | None = None,
        stride: int = 1,
        weight_norm: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        like: Any = nn.Conv2d(in_channels, out_channels, window)
        self.weight, self.bias = like.weight, like.bias
        self.gain = gain_of(self.weight) if weight_norm else None
        self.window, self.reads_image = window, reads_image
        self.padding = (top, left, window[1] - 1 - left)
        self.stride, self.scale = stride, scale
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor, at: Place = EVERYWHERE) -> Tensor:
        """The layer's output at a place."""
        return at.convolve(self, x)

    def everywhere(self, x: Tensor) -> Tensor:
        """The output for the whole map; rows of padding beyond the window's are cut off."""
        top, left, right = self.padding
        sides = (left, right, top, self.window[0] - 1 - top)
        padded = F.pad(x, sides) if any(sides) else x  # a padding of nothing would be a copy
        return F.conv2d(padded, *self.effective(), stride=self.stride)

    def effective(self) -> tuple[Tensor, Tensor | None]:
        """The weight W * mask and the bias with which it is used."""
        weight = normalised(self.weight, self.gain)
        return (weight if self.mask is None else weight * self.mask), self.bias

    def inside(self, y: Tensor) -> Tensor:
        """The part of the output that the layer's statistics are of."""
        return y


class ShiftedConv2d(CausalConv2d):
    """PixelCNN++'s first layers: a convolution of the image whose output is shifted away from it.

    What is shifted in is zero, without the bias. The bias therefore acts through the image's last channel,
    which is one inside the image and zero around it.

    Args:
        in_channels: C, with the channel of ones.
        out_channels: F.
        window: its height and width, odd.
        shift: rows down and columns to the right.
        weight_norm: see `CausalConv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: tuple[int, int],
        *,
        shift: tuple[int, int],
        weight_norm: bool = False,
    ) -> None:
        down, right = shift
        super().__init__(
            in_channels,
            out_channels,
            window,
            top=window[0] - 1 + down,
            left=window[1] // 2 + right,
            reads_image=True,
            weight_norm=weight_norm,
        )
        self.shift = shift

    def effective(self) -> tuple[Tensor, None]:
        """The weight with the bias added where it meets the one at the pixel that is shifted."""
        (_, channels, height, width), centre = self.weight.shape, self.window[1] // 2
        to_ones = (centre, width - 1 - centre, height - 1, 0, channels - 1, 0)
        bias = F.pad(self.bias[:, None, None, None], to_ones)
        return normalised(self.weight, self.gain) + bias, None

    def inside(self, y: Tensor) -> Tensor:
        """The output without the rows and columns that were shifted in."""
        down, right = self.shift
        return y[..., down:, right:]


class DoublingConv2d(nn.Module):
    """A transposed convolution of stride 2: every input (i, j) adds to the outputs from (2i, 2j) on.

    With a window of 2 x 2 these are the outputs of no other input; one of 2 x 3 begins a column earlier.

    Args:
        in_channels: C.
        out_channels: F.
        width: of the window, 2 or 3; its height is 2.
        weight_norm: see `CausalConv2d`.

    Shapes: (N, C, H, W) -> (N, F, 2H, 2W).
    """

    gain: nn.Parameter | None
    bias: nn.Parameter

    def __init__(self, in_channels: int, out_channels: int, width: int, *, weight_norm: bool = False) -> None:
        super().__init__()
        like: Any = nn.ConvTranspose2d(in_channels, out_channels, (2, width))
        self.weight, self.bias = like.weight, like.bias
        self.gain = gain_of(self.weight, dim=1) if weight_norm else None
        self.scale = 1.0

    def everywhere(self, x: Tensor) -> Tensor:
        """The doubled map."""
        return self.apply_to(x, *self.effective())

    def apply_to(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The doubled map, given the weight and the bias."""
        ends = (0, weight.shape[-1] - 2)
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=ends, output_padding=ends)

    def effective(self) -> tuple[Tensor, Tensor]:
        """The weight and the bias with which it is used."""
        return normalised(self.weight, self.gain, dim=1), self.bias

    def inside(self, y: Tensor) -> Tensor:
        """The part of the output that the layer's statistics are of."""
        return y


def pixel_window(kernel: int) -> tuple[int, int]:
    """The window of a raster-order kernel: the rows above and its own, all columns."""
    return kernel // 2 + 1, kernel


def masked_conv(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    kind: str,
    groups: int = 1,
    reads_image: bool = False,
) -> CausalConv2d:
    """PixelCNN's masked convolution (arXiv:1601.06759): what comes before, and some of the own pixel.

    Args:
        in_channels: C.
        out_channels: F.
        kernel: odd.
        kind: "A": of the own pixel, only the groups of channels before the output's; "B": the output's too.
        groups: of channels that are drawn one after the other, R, G, B.
        reads_image: see `CausalConv2d`.
    """
    height, width = pixel_window(kernel)
    mask = torch.ones(out_channels, in_channels, height, width, dtype=torch.bool)
    mask[..., -1, kernel // 2 + 1 :] = False
    mask[..., -1, kernel // 2] = channel_mask(out_channels, in_channels, groups, include_current=kind == "B")
    everything = kernel == groups == 1 and kind == "B"
    return CausalConv2d(
        in_channels,
        out_channels,
        (height, width),
        top=kernel // 2,
        left=kernel // 2,
        reads_image=reads_image,
        mask=None if everything else mask,
    )
