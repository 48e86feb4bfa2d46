"""NVAE's residual cells (Vahdat & Kautz 2020), arXiv:2007.03898, sections 3.1 and A.

A cell is a part that can be swapped:

    cell(in_channels, out_channels, resample=0) -> module, (B, C, H, W) to (B, C', H', W')

with `resample` -1 where the cell halves the resolution and 1 where it doubles it.
"""

from typing import Annotated

from torch import nn

from zoo.choices import Choice, Part
from zoo.nn.cells import ResidualCell, SqueezeExcite, convolution, skip
from zoo.nn.preactivations import batch_norm, batch_norm_swish

Preactivation = Annotated[Part, Choice(("zoo.nn.preactivations",))]


def regular_cell(
    c: int,
    d: int,
    *,
    resample: int = 0,
    before: Preactivation = batch_norm_swish,
    squeeze_excite: bool = True,
) -> ResidualCell:
    """NVAE's encoder cell: two 3x3 convolutions.

    Args:
        c: channels in.
        d: channels out.
        resample: see the module's docstring.
        before: makes what comes before each convolution, from a number of channels.
        squeeze_excite: whether the cell ends in an SE.
    """
    stride = 2 if resample < 0 else 1
    body = [
        *_doubled(resample),
        before(c),
        convolution(c, d, 3, stride=stride),
        before(d),
        convolution(d, d, 3),
    ]
    return ResidualCell(skip(c, d, resample), nn.Sequential(*body), _gate(d, squeeze_excite))


def separable_cell(
    c: int,
    d: int,
    *,
    resample: int = 0,
    expansion: int = 6,
    before: Preactivation = batch_norm_swish,
    squeeze_excite: bool = True,
) -> ResidualCell:
    """NVAE's generative cell: a 5x5 depthwise convolution between two 1x1 ones, batch normalisation around.

    Depthwise it costs little and sees far; the 1x1 convolutions expand the channels for it.

    Args:
        c: channels in.
        d: channels out.
        resample: see the module's docstring.
        expansion: hidden channels per input channel.
        before: makes what comes before the second and the third convolution, from a number of channels.
        squeeze_excite: whether the cell ends in an SE.
    """
    hidden, stride = expansion * c, 2 if resample < 0 else 1
    body = [
        *_doubled(resample),
        batch_norm(c),
        nn.Conv2d(c, hidden, 1, bias=False),
        before(hidden),
        nn.Conv2d(hidden, hidden, 5, stride=stride, padding=2, groups=hidden, bias=False),
        before(hidden),
        nn.Conv2d(hidden, d, 1, bias=False),
        batch_norm(d),
    ]
    return ResidualCell(skip(c, d, resample), nn.Sequential(*body), _gate(d, squeeze_excite))


def _doubled(resample: int) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2)] if resample > 0 else []


def _gate(channels: int, squeeze_excite: bool) -> nn.Module:
    return SqueezeExcite(channels) if squeeze_excite else nn.Identity()
