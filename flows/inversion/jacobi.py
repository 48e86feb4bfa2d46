"""The inverse of an autoregressive flow by Jacobi's iteration (`distributions.fixed_point`)."""

from collections.abc import Callable

import torch
from torch import Tensor

from distributions.fixed_point import iterate

Step = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def jacobi(step: Step, y: Tensor, context: Tensor | None, *, event_dim: int) -> Tensor:
    r"""The x (\*batch, \*event_shape) with x = step(x, y, context), with no graph.

    There are at most D passes, D the number of elements.

    Args:
        step: one pass for n samples, of x and y (n, \*event_shape), with n contexts or None.
        y: (\*batch, \*event_shape); where the search starts, too.
        context: (\*batch, \*context_shape), of the same batch, or None.
        event_dim: number of dimensions of an event.
    """
    batch = y.shape[: y.dim() - event_dim]
    targets = samples(y, event_dim)
    contexts = None if context is None else samples(context, context.dim() - len(batch))

    def next_(x: Tensor, rows: Tensor) -> Tensor:
        return _finite(step(x, targets[rows], None if contexts is None else contexts[rows]))

    with torch.no_grad():
        x = iterate(
            next_,
            targets,
            passes=y.shape[len(batch) :].numel(),
            moved=lambda old, new: moved(new - old, new),
        )
    return x.reshape(y.shape)


def samples(x: Tensor, event_dim: int) -> Tensor:
    r"""(\*batch, \*shape) as (N, \*shape)."""
    return x.reshape(-1, *x.shape[x.dim() - event_dim :])


def moved(change: Tensor, value: Tensor) -> Tensor:
    r"""For (n, \*event_shape), whether a sample's change is more than rounding: eps^(3/4) (1 + max |value|).

    That is 6e-6 in float32 and 2e-12 in float64. A sample with NaN does not move: no pass will mend it.
    """
    change, size = (t.flatten(1).abs().amax(1) for t in (change, value))
    return change > torch.finfo(value.dtype).eps ** 0.75 * (1 + size)


def _finite(x: Tensor) -> Tensor:
    """X with finite values only: elements that have not converged must not spoil exact ones (0 * inf)."""
    limit = torch.finfo(x.dtype).max ** 0.5
    return x.nan_to_num(0.0).clamp(-limit, limit)
