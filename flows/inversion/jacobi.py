r"""Autoregressive equations as a fixed point (Song, Meng, Liao & Ermon 2020), arXiv:2002.03629.

    x <- g(x)  with  x_i = g_i(x_<i)

After k passes the first k elements are exact, after D passes all of them; most often they stand still after
far fewer.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def jacobi(step: Step, y: Tensor, context: Tensor | None, *, event_dim: int) -> Tensor:
    r"""The x (\*batch, \*event_shape) with x = step(x, y, context), with no graph.

    A pass runs over those samples alone that still moved in the last one, so that a slow one does not hold up
    the others; there are at most D passes, D the number of elements.

    Args:
        step: one pass for n samples, of x and y (n, \*event_shape), with n contexts or None.
        y: (\*batch, \*event_shape); where the search starts, too.
        context: (\*batch, \*context_shape), of the same batch, or None.
        event_dim: number of dimensions of an event.
    """
    batch = y.shape[: y.dim() - event_dim]
    targets = samples(y, event_dim)
    contexts = None if context is None else samples(context, context.dim() - len(batch))
    with torch.no_grad():
        x, moving = targets.clone(), torch.arange(len(targets), device=y.device)
        for _ in range(y.shape[len(batch) :].numel()):
            if not len(moving):
                break
            old = x[moving]
            new = _tame(step(old, targets[moving], None if contexts is None else contexts[moving]))
            x[moving] = new
            moving = moving[moved(new - old, new)]
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


def _tame(x: Tensor) -> Tensor:
    """X without what is not finite: elements still on their way must not spoil exact ones (0 * inf)."""
    limit = torch.finfo(x.dtype).max ** 0.5
    return x.nan_to_num(0.0).clamp(-limit, limit)
