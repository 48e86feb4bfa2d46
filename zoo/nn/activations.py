"""Activations; those that flows need too are in `flows.nn.activations`."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.nn.activations import concat_elu, elu

__all__ = ["ELU", "GELU", "concat_elu", "elu"]

# Of t^1 ... t^5 (Abramowitz and Stegun 1964, 7.1.26), and p
TAIL = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
RECIPROCAL = 0.3275911


class ELU(nn.Module):
    """`elu` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return elu(x)


class GELU(nn.Module):
    """x Phi(x), Phi the distribution function of N(0, 1) (arXiv:1606.08415).

    Compiled for a CPU, in float32, it is written out (`WrittenGELU`), since the compiler computes an
    exponential for Phi in both passes and another one for its derivative.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        if torch.compiler.is_compiling() and x.dtype is torch.float32 and x.device.type == "cpu":
            return WrittenGELU.apply(x)
        return F.gelu(x)


class WrittenGELU(torch.autograd.Function):
    """x Phi(x), one exponential a pass.

    Phi(-|x|) = exp(-x^2 / 2) / 2 sum_i a_i t^i,    t = 1 / (1 + p |x| / sqrt 2)

    off by 7.5e-8 at most, as PyTorch's own erf on processors with vector instructions, and

    d/dx x Phi(x) = Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi)
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Elementwise."""
        ctx.save_for_backward(x)
        return x * _normal_cdf(x)[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Elementwise."""
        (x,) = ctx.saved_tensors
        cdf, exponential = _normal_cdf(x)
        return gradient * (cdf + x * exponential / math.sqrt(2 * math.pi))


def _normal_cdf(x: Tensor) -> tuple[Tensor, Tensor]:
    """Phi(x), and exp(-x^2 / 2)."""
    exponential = torch.exp(-0.5 * x * x)
    t = 1 / (1 + RECIPROCAL / math.sqrt(2) * x.abs())
    polynomial = torch.zeros_like(t)
    for coefficient in reversed(TAIL):
        polynomial = (polynomial + coefficient) * t
    tail = 0.5 * exponential * polynomial
    return torch.where(x >= 0, 1 - tail, tail), exponential
