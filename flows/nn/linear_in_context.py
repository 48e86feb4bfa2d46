"""The parameters of flows that have no network."""

import math

import torch
from torch import Tensor, nn

from flows.flow import Shape


class LinearInContext(nn.Module):
    r"""Free parameters without a context; with one, initial + W context (amortised, arXiv:1505.05770).

    Args:
        initial: (P,), what training starts from; W starts at zero.
        context: shape of one context, K or (K, H, W), or None.
    """

    def __init__(self, initial: Tensor, context: Shape | None) -> None:
        super().__init__()
        self.initial = nn.Parameter(initial)
        self.context_shape = context
        if context is not None:
            self.weight = nn.Parameter(torch.zeros(len(initial), math.prod(context)))

    def forward(self, context: Tensor | None) -> Tensor:
        r"""(P,), or (\*batch, P) for a context (\*batch, \*context_shape)."""
        if context is None or self.context_shape is None:
            return self.initial
        flat = context.flatten(-len(self.context_shape))
        return self.initial + nn.functional.linear(flat, self.weight)
