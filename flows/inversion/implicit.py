r"""Exact derivatives of the solution of x = g(x, theta), g autoregressive, at the memory of one pass.

    dx = (I - J)^-1 dg/dtheta dtheta,   J = dg/dx, strictly triangular

so a gradient v of x becomes the gradient (I - J^T)^-1 v = v + J^T v + (J^T)^2 v + ... of g's value, a sum of
at most D terms since J^D = 0. (Theorem of the implicit function; as in arXiv:1909.01377.)
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flows.inversion.jacobi import moved, samples


def attached(
    step: Callable[[Tensor], tuple[Tensor, Tensor]], solution: Tensor, *, event_dim: int
) -> tuple[Tensor, Tensor]:
    r"""The solution and its log det with their graph, by one pass; once differentiable.

    Args:
        step: from x to g(x), (\*batch, \*event_shape), and a log det (\*batch), both with graphs to theta.
        solution: x = g(x).
        event_dim: number of dimensions of an event.

    Raises:
        RuntimeError: in the backward pass, if second derivatives are prepared (``create_graph=True``).
    """
    x = solution.detach().requires_grad_()
    value, log_det = step(x)
    closed: tuple[Tensor, Tensor] = _Closed.apply(value, log_det, x, event_dim)
    return closed


class _Closed(torch.autograd.Function):
    """Value and log det as they are; in the backward pass, x's gradient is fed back to the value."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, log_det: Tensor, x: Tensor, event_dim: int) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(value, log_det, x)
        ctx.event_dim = event_dim
        return value.view_as(value), log_det.view_as(log_det)

    @staticmethod
    def backward(ctx: Any, of_value: Tensor, of_log_det: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the inverse of an autoregressive flow is differentiable once; got create_graph=True"
            )
        value, log_det, x = ctx.saved_tensors
        total = term = of_value + _vjp(log_det, x, of_log_det)
        for _ in range(x.shape[x.dim() - ctx.event_dim :].numel() - 1):
            term = _vjp(value, x, term)
            total = total + term
            if not moved(samples(term, ctx.event_dim), samples(total, ctx.event_dim)).any():
                break
        return total, of_log_det, None, None


def _vjp(y: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """J^T v, J = dy/dx, zero where y is a constant."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    (product,) = torch.autograd.grad(y, x, v, retain_graph=True, materialize_grads=True)
    return product
