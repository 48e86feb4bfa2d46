"""Inverses of increasing functions that have no closed form."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from flows.not_compiled import not_compiled

Function = Callable[[Tensor], tuple[Tensor, Tensor]]

_ITERATIONS = {torch.float64: 64}  # others converge within the 40 below


def solve_increasing(function: Function, y: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    r"""The x in [lower, upper] with f(x) = y, elementwise, for an increasing f.

    Newton's method inside a bracket that shrinks: steps end at the bracket, and it bisects where one does
    not halve the step before the last (as "rtsafe", Press et al., Numerical Recipes, section 9.4). It stops
    early when all have settled, but for a GPU, which it would keep waiting, and ``vmap``. ``torch.compile``
    runs it as it is: a graph break, an error under ``fullgraph=True``.

    The search has no gradient. It is that of the implicit function, dx = (dy - df) / f'(x), in y and in
    whatever f depends on: exact to first order; derivatives of it are not.

    Args:
        function: returns f(x) and log f'(x), both of x's shape.
        y: of any shape.
        lower: where f is at most y, up to rounding.
        upper: where f is at least y, up to rounding.

    >>> import torch
    >>> y = torch.tensor([1.0, 8.0])
    >>> solve_increasing(lambda x: (x**3, torch.log(3 * x**2)), y, torch.zeros(2), y)
    tensor([1., 2.])
    """
    root = _search(function, y, lower, upper).detach()
    value, log_slope = function(root)
    error = value - y
    return root - (error - error.detach()) * _inverse_slope(log_slope.detach())  # the value is the root's


class _State(NamedTuple):
    """Of a search: where f is called next, the best x so far and its error, the bracket, the last steps."""

    x: Tensor
    root: Tensor
    error: Tensor
    lower: Tensor
    upper: Tensor
    last: Tensor
    before_last: Tensor
    settled: Tensor


@not_compiled("a numerical inverse is a search")
@torch.no_grad()
def _search(function: Function, y: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    x, width = (lower + upper) / 2, upper - lower
    infinite, settled = torch.full_like(x, torch.inf), torch.zeros_like(x, dtype=torch.bool)
    state = _State(x, x, infinite, lower, upper, width, width, settled)
    for _ in range(_ITERATIONS.get(y.dtype, 40)):
        state = _advanced(function, y, state)
        if _agree(state.settled):
            break
    return state.root


def _advanced(function: Function, y: Tensor, state: _State) -> _State:
    x, root, least, lower, upper, last, before_last, _ = state
    value, log_slope = function(x)
    error = value - y
    root, least = torch.where(error.abs() < least, x, root), torch.minimum(error.abs(), least)
    lower, upper = torch.where(error < 0, x, lower), torch.where(error > 0, x, upper)
    newton = -error * _inverse_slope(log_slope)
    settled = _settled(x, y, error, newton)
    newton = torch.minimum(torch.maximum(x + newton, lower), upper) - x
    step = torch.where(2 * newton.abs() <= before_last.abs(), newton, (lower + upper) / 2 - x)
    return _State(x + step, root, least, lower, upper, step, last, settled)


def _settled(x: Tensor, y: Tensor, error: Tensor, newton: Tensor) -> Tensor:
    """Whether rounding leaves nothing to gain, in y or in x, whose units are taken to be of order one."""
    rounding = 4 * torch.finfo(x.dtype).eps
    return (error.abs() <= rounding * (1 + y.abs())) | (newton.abs() <= rounding * (1 + x.abs()))


def _agree(settled: Tensor) -> bool:
    """Whether all have settled; False where that cannot be asked, or only by waiting for a GPU."""
    if settled.device.type != "cpu":
        return False
    try:
        return bool(settled.all())
    except RuntimeError:  # under vmap there are many answers
        return False


def _inverse_slope(log_slope: Tensor) -> Tensor:
    """1 / f', finite where f is flat beyond what the type holds."""
    largest = torch.finfo(log_slope.dtype).max ** 0.5
    return torch.exp(-log_slope).clamp(max=largest)
