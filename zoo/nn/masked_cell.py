"""The masked cell of NVAE's flows (arXiv:2007.03898, section 3.3), a net for `flows.Autoregressive`.

A shift of every element by what the elements before it determine, rows from the top, pixels from the left,
channels within a pixel: three masked convolutions, the middle one depthwise.
"""

from typing import Any

from torch import Tensor, nn

from flows import Autoregressive, Composed
from flows.nn.conditioner import over_images
from flows.nn.masked_conv import MaskedConv2d
from flows.univariate import Additive
from zoo.nn.cells import LogNormConv2d
from zoo.nn.layers import Shape


class MaskedLogNormConv2d(LogNormConv2d):
    """`LogNormConv2d` that sees what comes before a pixel, see `flows.nn.masked_conv.MaskedConv2d`.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel: odd.
        include_current: whether a channel sees its own colour.
        colors: channels of the image whose order is kept.
        factor: of W at first.
        options: of `nn.Conv2d`: ``groups`` = C for a depthwise one, ``bias``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        include_current: bool,
        colors: int,
        factor: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2, **options)
        ends = (1, 1) if self.groups > 1 else (in_channels, out_channels)
        like = MaskedConv2d(
            *ends, kernel, include_current=include_current, colors=1 if self.groups > 1 else colors
        )
        self.mask = like.mask.clone()
        self.start(factor)


class MaskedCell(nn.Module):
    r"""Shifts from the elements before: 3x3, 5x5 depthwise, 1x1, ELU between, (\*batch, C, H, W) to the same.

    Args:
        channels: C.
        expansion: hidden channels a channel.
        reverse: whether the order is the opposite one, of rows, of pixels and of channels.
    """

    def __init__(self, channels: int, *, expansion: int = 6, reverse: bool = False) -> None:
        super().__init__()
        hidden, self.reverse = expansion * channels, reverse
        self.layers = nn.Sequential(
            MaskedLogNormConv2d(channels, hidden, 3, include_current=False, colors=channels, bias=False),
            nn.ELU(),
            MaskedLogNormConv2d(
                hidden, hidden, 5, include_current=True, colors=channels, groups=hidden, bias=False
            ),
            nn.ELU(),
            MaskedLogNormConv2d(hidden, channels, 1, include_current=True, colors=channels, factor=0.1),
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The shift of every element."""
        if not self.reverse:
            return over_images(self.layers, x)
        return over_images(self.layers, x.flip(-3, -2, -1)).flip(-3, -2, -1)


def shift_pair(event_shape: Shape, *, expansion: int = 6) -> Composed:
    """Two shifts of opposite orders, z = f_2(f_1(z_0)), volume-preserving: log |det| = 0.

    Args:
        event_shape: (C, H, W).
        expansion: see `MaskedCell`.
    """
    cells = [MaskedCell(event_shape[0], expansion=expansion, reverse=reverse) for reverse in (False, True)]
    return Composed([Autoregressive(event_shape, Additive(), net=cell) for cell in cells])
