"""Autoregressive equations as a fixed point: Jacobi's iteration.

    x <- step(x),   element i of step(x) depends on the elements of x before i

After n passes the first n elements are exact, so it ends after as many passes as there are elements, mostly
after far fewer (Song, Meng, Liao & Ermon 2020, arXiv:2002.03629; Wiggers & Hoogeboom 2020, arXiv:2002.09928).
"""

from collections.abc import Callable

import torch
from torch import Tensor


def iterate(
    step: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
    *,
    passes: int,
    moved: Callable[[Tensor, Tensor], Tensor],
    progress: Callable[[float], None] = lambda share: None,
) -> Tensor:
    """The x with x = step(x); a pass evaluates only the samples that moved in the last one.

    Args:
        step: called with n samples (n, ...) and their indices (n,), returns the next ones.
        start: x at first, (N, ...).
        passes: at most.
        moved: of the old and the new values (n, ...), whether each sample has changed, (n,).
        progress: called with the share of the samples that are found.
    """
    x, moving = start.clone(), torch.arange(len(start), device=start.device)
    for _ in range(passes):
        if not len(moving):
            break
        old = x[moving]
        new = step(old, moving)
        x[moving] = new
        moving = moving[moved(old, new)]
        progress(1 - len(moving) / len(x))
    return x
