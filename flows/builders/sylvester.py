"""A sequence of Sylvester flows."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

from flows.bases import Axes, Basis, Orthogonal, Reflections
from flows.composed import Composed
from flows.sylvester import Sylvester

Kind = Literal["orthogonal", "reflections", "axes"]
BASES = get_args(Kind)


def sylvester(
    event_shape: int | Sequence[int],
    *,
    layers: int = 4,
    basis: Kind = "orthogonal",
    columns: int = 8,
    context: int | Sequence[int] | None = None,
) -> Composed:
    """Van den Berg et al.'s flows (2018), arXiv:1803.05649: O-SNF, H-SNF and T-SNF; see `flows.Sylvester`.

    Fast to sample and to score what was sampled, so meant for posteriors; other points need a search a layer
    and column.

    Args:
        event_shape: D or (C, H, W).
        layers: how many.
        basis: of Q: orthogonal columns, a product of reflections, or the axes in both orders by turns.
        columns: M of orthogonal columns, D at most, or how many reflections.
        context: shape of one context, if the parameters of all layers are linear functions of it.

    Raises:
        ValueError: for another basis, or without columns or layers.
    """
    if basis not in BASES:
        raise ValueError(f"expected a basis, one of {', '.join(BASES)}; got {basis!r}")
    size = event_shape if isinstance(event_shape, int) else math.prod(event_shape)

    def of_layer(i: int) -> Basis:
        if basis == "axes":
            return Axes(reverse=i % 2 == 1)
        return Reflections(columns) if basis == "reflections" else Orthogonal(min(columns, size))

    return Composed([Sylvester(event_shape, of_layer(i), context=context) for i in range(layers)])
