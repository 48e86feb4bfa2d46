"""Gated layers (W x + b) * sigmoid(V x + c) (Dauphin et al. 2016), arXiv:1612.08083."""

import itertools
import math
from collections.abc import Sequence

from torch import nn

from zoo.nn.layers import Shape, Shaped, if_image, strided


def gated_dense(in_shape: Shape, hidden: Sequence[int]) -> Shaped:
    """Gated linear layers, (B, *in_shape) to (B, hidden[-1]).

    Args:
        in_shape: (D,), or (C, H, W), which is flattened.
        hidden: widths, one at least.
    """
    widths = [math.prod(in_shape), *hidden]
    layers = [(nn.Linear(a, 2 * b), nn.GLU(dim=1)) for a, b in itertools.pairwise(widths)]
    return Shaped((widths[-1],), nn.Flatten(), *itertools.chain(*layers), takes=if_image(in_shape))


def gated_convolutions(in_shape: Shape, layers: Sequence[tuple[int, int, int]]) -> Shaped:
    """Gated convolutions, (B, *in_shape) to a map; resolutions divided by the strides and rounded up.

    Args:
        in_shape: (C, H, W).
        layers: channels, kernel (odd) and stride of each.
    """
    shape, modules = tuple(in_shape), []
    for channels, kernel, stride in layers:
        convolution = nn.Conv2d(shape[0], 2 * channels, kernel, stride=stride, padding=kernel // 2)
        modules += [convolution, nn.GLU(dim=1)]
        shape = strided((channels, *shape[1:]), stride)
    return Shaped(shape, *modules, takes=in_shape)
