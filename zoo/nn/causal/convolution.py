r"""Convolutions that see some of the pixels around their own, never one that comes later.

    y(r, c) = sum_{i, j} (W * mask)_ij x(r - top + i, c - left + j)

With ``top`` = height the window ends above its row, with ``top`` = height - 1 in it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.nn.causal.places import EVERYWHERE, Place


class CausalConv2d(nn.Module):
    """A convolution of a window of any place; see the module's docstring.

    Args:
        in_channels: C.
        out_channels: F.
        window: its height and width.
        top: rows of the window above its pixel, and as many of padding.
        left: columns of the window to the left of its pixel.
        reads_image: whether its input is the network's own input, the embedded image.
        mask: boolean, broadcasts with the weight (F, C, height, width); by default everything is seen.

    Shapes: x (N, C, H, W) -> (N, F, H, W).
    """

    mask: Tensor | None

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
    ) -> None:
        super().__init__()
        like = nn.Conv2d(in_channels, out_channels, window)
        self.weight, self.bias = like.weight, like.bias
        self.window, self.reads_image = window, reads_image
        self.padding = (top, left, window[1] - 1 - left)
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor, at: Place = EVERYWHERE) -> Tensor:
        """Y at a place."""
        return at.convolve(self, x)

    def everywhere(self, x: Tensor) -> Tensor:
        """Y of the whole map; rows of padding beyond the window's are cut off."""
        top, left, right = self.padding
        padded = F.pad(x, (left, right, top, self.window[0] - 1 - top))
        return F.conv2d(padded, self.masked_weight(), self.bias)

    def masked_weight(self) -> Tensor:
        """W * mask."""
        return self.weight if self.mask is None else self.weight * self.mask


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
    mask[..., -1, kernel // 2] = channel_mask(out_channels, in_channels, groups, kind)
    return CausalConv2d(
        in_channels,
        out_channels,
        (height, width),
        top=kernel // 2,
        left=kernel // 2,
        reads_image=reads_image,
        mask=mask,
    )


def channel_mask(out_channels: int, in_channels: int, groups: int, kind: str) -> Tensor:
    """Which channels of its own pixel a convolution sees, (F, C); each group has an equal share of them."""
    group_out = torch.arange(out_channels) * groups // out_channels
    group_in = torch.arange(in_channels) * groups // in_channels
    seen = torch.gt if kind == "A" else torch.ge
    return seen(group_out[:, None], group_in)
