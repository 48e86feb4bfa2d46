"""A causal network at one position of a sequence being drawn; for images see `zoo.nn.causal.places`."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from zoo.nn.causal.places import LayerCaches, Place


class SequenceMemory(LayerCaches):
    """Everything the layers have computed for the sequences being drawn.

    Args:
        first: the `DilatedConv1d` that reads x.
        x: (N, C, T), as far as it is known.
    """

    def __init__(self, first: Any, x: Tensor) -> None:
        super().__init__()
        padded = F.pad(x, (first.reach, 0)).clone()
        self.length, self.x = x.shape[-1], padded[..., first.reach :]
        self.caches[first].inputs = padded

    def window(self, conv: Any, x: Tensor, t: int) -> Tensor:
        """What the convolution sees from position t, x (N, C) being its input there."""
        cache = self.caches[conv]
        if cache.inputs is None:
            cache.inputs = x.new_zeros(*x.shape, conv.reach + self.length)
        seen: Tensor = cache.inputs
        seen[..., t + conv.reach] = x
        return seen[..., t : t + conv.reach + 1 : conv.dilation]

    def matrix(self, conv: Any) -> Tensor:
        """The convolution's masked weight (F, C kernel), computed once."""
        cache = self.caches[conv]
        if cache.matrix is None:
            cache.matrix = (conv.weight * conv.mask).flatten(1)
        return cache.matrix


class Position(Place):
    """One position; its features are (N, C)."""

    def __init__(self, memory: SequenceMemory, t: int) -> None:
        self.memory, self.t = memory, t

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """(N, C) -> (N, F)."""
        if conv.reach:
            x = self.memory.window(conv, x, self.t).flatten(1)
        return F.linear(x, self.memory.matrix(conv), conv.bias)

    def fixed(self, layer: Any, context: Tensor) -> Tensor:
        """What depends only on the context, at this position."""
        constant = self.memory.constant(layer, context)
        return constant[..., 0 if constant.shape[-1] == 1 else self.t]
