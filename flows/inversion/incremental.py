r"""The exact inverse of a MADE at the cost of about one pass.

    x_r = f^-1(y_r; net_r(x_<r))   for r = 0 .. D - 1 in the order of the elements

A unit of degree m is final as soon as the first m elements are known. So step r evaluates the units of
degree r only: between all steps every weight is used once. Units are rows and samples are columns,
(H, N); sorted by degree, the units that are known come first and each step works on contiguous rows.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def incremental(net: Any, univariate: Any, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    r"""X (\*batch, D) and log dx/dy of each element, with no graph.

    Args:
        net: a `flows.nn.made.MADE`.
        univariate: f, of which D `inverse` calls for N elements each are made.
        y: (\*batch, D), its batch that of the context or larger.
        context: what the net takes.
    """
    with torch.no_grad():
        targets = y.flatten(0, -2).T if y.dim() > 1 else y[:, None]
        targets = targets[net.order]
        x, log_dx = torch.empty_like(targets), torch.empty_like(targets)
        *hidden, last = _levels(net, x, y.shape[:-1], context)
        for r, target in enumerate(targets):
            for level in hidden:
                level.advance(r)
            x[r], log_dx[r] = univariate.inverse(target, last.parameters(r))
    ranks = net.order.argsort()
    return x[ranks].T.reshape(y.shape), log_dx[ranks].T.reshape(y.shape)


@dataclass(frozen=True)
class _Hidden:
    """Hidden units, rows in ascending degree; before they are known they hold their bias and context."""

    below: Tensor  # values of the layer below, (H', N)
    degrees_below: Sequence[int]
    weight: Tensor  # (H, H')
    values: Tensor  # (H, N)
    degrees: Sequence[int]

    def advance(self, degree: int) -> None:
        """Evaluate the units of that degree."""
        start, stop = bisect_right(self.degrees, degree - 1), bisect_right(self.degrees, degree)
        known = bisect_right(self.degrees_below, degree)
        if start < stop:
            self.values[start:stop].addmm_(self.weight[start:stop, :known], self.below[:known]).relu_()


@dataclass(frozen=True)
class _Last:
    """The parameters, (D, P, N); the same otherwise, but without a nonlinearity."""

    below: Tensor
    degrees_below: Sequence[int]
    weight: Tensor  # (D, P, H)
    values: Tensor

    def parameters(self, rank: int) -> Tensor:
        """The parameters of the element of that rank, (P, N)."""
        known = bisect_right(self.degrees_below, rank)
        return self.values[rank].addmm_(self.weight[rank, :, :known], self.below[:known])


def _levels(net: Any, x: Tensor, batch: torch.Size, context: Tensor | None) -> list[Any]:
    """The net's layers, above the elements x (D, N) in their order."""
    levels: list[Any] = []
    below, degrees_below = x, range(1, net.features + 1)  # an element of rank r is known from degree r + 1 on
    for i, layer in enumerate(net.layers):
        weight = layer.masked_weight()
        weight = weight[:, net.order] if i == 0 else weight
        added = net.context(context) if i == 0 and net.context is not None else 0.0
        start = (layer.bias + added).expand(*batch, -1).reshape(-1, len(weight)).T  # (H, N)
        if i < len(net.degrees):
            levels.append(_Hidden(below, degrees_below, weight, start.contiguous(), net.degrees[i]))
            below, degrees_below = levels[-1].values, net.degrees[i]
        else:
            levels.append(_Last(below, degrees_below, _by_rank(weight, net), _by_rank(start, net)))
    return levels


def _by_rank(rows: Tensor, net: Any) -> Tensor:
    """(P D, N) to (D, P, N), the elements in their order."""
    return rows.unflatten(0, (net.size, net.features))[:, net.order].transpose(0, 1).contiguous()
