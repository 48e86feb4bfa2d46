"""The log density of normal events in few passes over memory, and of draws from the noise they were made of.

    log p(z) = sum_d -t_d^2 / 2 - log scale_d - log(2 pi) / 2,   t = (z - loc) / scale

    d/dz = -t / scale,   d/dloc = t / scale,   d/dscale = (t^2 - 1) / scale

Of a draw z = loc + scale noise, t is the noise: that density needs no z, and its total derivative is one of
scale only.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions.utils import _sum_rightmost, broadcast_all

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


def normal_log_prob(value: Tensor, loc: Tensor, scale: Tensor, event_dim: int) -> Tensor:
    """Log N(value; loc, scale^2), summed over the last `event_dim` dimensions; differentiable twice."""
    value, loc, scale = broadcast_all(value, loc, scale)
    if torch.compiler.is_compiling():  # the compiler fuses by itself
        return log_of_noise((value - loc) / scale, scale, event_dim)
    return _LogProb.apply(value, loc, scale, event_dim)


def log_of_noise(noise: Tensor, scale: Tensor, event_dim: int) -> Tensor:
    """Log N(loc + scale noise; loc, scale^2), summed over the last `event_dim` dimensions."""
    terms = torch.addcmul(-HALF_LOG_2_PI - scale.log(), noise, noise, value=-0.5)
    return _sum_rightmost(terms, event_dim)


def spread(grad: Tensor, event_dim: int) -> Tensor:
    """The gradient of a sum over the last `event_dim` dimensions, to be broadcast over them."""
    return grad.reshape(grad.shape + (1,) * event_dim)


def mapped_first(info: Any, in_dims: Any, *tensors: Tensor) -> list[Tensor]:
    """Tensors of one shape within a `torch.vmap`, with the mapped dimension as the first of each."""
    return [
        t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
        for t, dim in zip(tensors, in_dims, strict=False)
    ]


class _LogProb(torch.autograd.Function):
    """See the module's docstring."""

    @staticmethod
    def forward(value: Tensor, loc: Tensor, scale: Tensor, event_dim: int) -> Tensor:
        return log_of_noise((value - loc).div_(scale), scale, event_dim)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: Tensor) -> None:
        value, loc, scale, ctx.event_dim = inputs
        ctx.save_for_backward(value, loc, scale)

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, value: Tensor, loc: Tensor, scale: Tensor, event_dim: int
    ) -> tuple[Tensor, int]:
        return _LogProb.apply(*mapped_first(info, in_dims, value, loc, scale), event_dim), 0

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        value, loc, scale = ctx.saved_tensors
        of_value, of_loc, of_scale, _ = ctx.needs_input_grad
        grad = spread(grad, ctx.event_dim)
        t = (value - loc) / scale
        by_loc = t / scale * grad
        return (
            -by_loc if of_value else None,
            by_loc if of_loc else None,
            t * by_loc - grad / scale if of_scale else None,
            None,
        )
