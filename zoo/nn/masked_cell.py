"""Masked convolutions for the flows of NVAE's and IAF-VAE's posteriors: nets of `flows.Autoregressive`.

Every element is changed by a function of the elements before it, rows from the top, pixels from the left,
channels within a pixel. NVAE's cell (arXiv:2007.03898, section 3.3) shifts it, by three convolutions of which
the middle one is depthwise; IAF-VAE's net (arXiv:1606.04934) is of 3x3 convolutions and sees a context.
"""

import itertools
from typing import Any

from torch import Tensor, nn

from flows import Autoregressive, Composed
from flows.nn.conditioner import over_images
from flows.nn.masked_conv import MaskedConv2d, parameters_first
from flows.univariate import Additive
from zoo.nn.activations import ELU, elu
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
        expansion: hidden channels per channel.
        reverse: whether the order is the opposite one, of rows, of pixels and of channels.
    """

    def __init__(self, channels: int, *, expansion: int = 6, reverse: bool = False) -> None:
        super().__init__()
        hidden, self.reverse = expansion * channels, reverse
        self.layers = nn.Sequential(
            MaskedLogNormConv2d(channels, hidden, 3, include_current=False, colors=channels, bias=False),
            ELU(),
            MaskedLogNormConv2d(
                hidden, hidden, 5, include_current=True, colors=channels, groups=hidden, bias=False
            ),
            ELU(),
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


class MaskedNet(nn.Module):
    r"""P parameters of every element, from those before it and a context (arXiv:1606.04934).

    h_1 = elu(conv(x) + context), h_l = elu(conv(h_{l-1})), output conv(h_n): masked 3x3 convolutions, the
    last one small at first.

    Args:
        channels: C.
        size: P. The output has the first parameters of the C channels first, then the second ones ...
        hidden: channels of the hidden layers.
        reverse: whether the order is the opposite one, of rows, of pixels and of channels.

    Shapes: x (\*batch, C, H, W), context (\*batch, hidden[0], H, W), to (\*batch, P C, H, W).
    """

    def __init__(
        self, channels: int, size: int, *, hidden: tuple[int, ...] = (160, 160), reverse: bool = False
    ) -> None:
        super().__init__()
        self.size, self.reverse = size, reverse
        widths = [channels, *hidden]
        self.layers = nn.ModuleList(
            MaskedLogNormConv2d(a, b, 3, include_current=True, colors=channels)
            for a, b in itertools.pairwise(widths)
        )
        self.last = MaskedLogNormConv2d(
            hidden[-1], size * channels, 3, include_current=False, colors=channels, factor=0.1
        )

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """The parameters of every element."""
        if not self.reverse:
            return parameters_first(self._in_order(x, context), x.shape[-3])
        output = self._in_order(x.flip(-3, -2, -1), context.flip(-2, -1))
        turned = output.unflatten(-3, (-1, self.size)).flip(-4, -2, -1).flatten(-4, -3)
        return parameters_first(turned, x.shape[-3])

    def _in_order(self, x: Tensor, context: Tensor) -> Tensor:
        first, *others = self.layers
        h = elu(over_images(first, x) + context)
        for layer in others:
            h = elu(over_images(layer, h))
        return over_images(self.last, h)
