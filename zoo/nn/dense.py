"""Dense networks."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import nn

from flows.flow import Flow
from zoo.nn.activations import ELU
from zoo.nn.layers import Shape, Shaped, if_image

M = TypeVar("M", bound=nn.Module)


def dense(in_shape: Shape, hidden: Sequence[int], *, activation: Callable[[], nn.Module] = ELU) -> Shaped:
    """Linear layers with an activation after each, (B, *in_shape) to (B, hidden[-1]).

    Args:
        in_shape: (D,), or (C, H, W), which is flattened.
        hidden: widths, one at least.
        activation: makes the activation of a layer.
    """
    widths = [math.prod(in_shape), *hidden]
    layers = [(nn.Linear(a, b), activation()) for a, b in itertools.pairwise(widths)]
    return Shaped((widths[-1],), nn.Flatten(), *itertools.chain(*layers), takes=if_image(in_shape))


def glorot(module: M) -> M:
    """Start all linear layers inside `module` as Glorot & Bengio (2010) do; returns the module.

    Weights ~ U(-a, a) with a = sqrt(6 / (inputs + outputs)), biases 0. Flows keep their own start, near the
    identity.
    """
    of_flows = {layer for flow in module.modules() if isinstance(flow, Flow) for layer in flow.modules()}
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and layer not in of_flows:
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
