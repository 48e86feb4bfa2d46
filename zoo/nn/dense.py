"""Dense networks."""

import itertools
import math
from collections.abc import Sequence

from torch import nn

from zoo.nn.activations import ELU
from zoo.nn.layers import Shape, Shaped


def dense(in_shape: Shape, hidden: Sequence[int]) -> Shaped:
    """Linear layers with an ELU after each, (B, *in_shape) to (B, hidden[-1]).

    Args:
        in_shape: (D,), or (C, H, W), which is flattened.
        hidden: widths, one at least.
    """
    widths = [math.prod(in_shape), *hidden]
    layers = [(nn.Linear(a, b), ELU()) for a, b in itertools.pairwise(widths)]
    return Shaped((widths[-1],), nn.Flatten(), *itertools.chain(*layers))
