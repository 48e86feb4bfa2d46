"""A sequence of planar flows."""

from collections.abc import Sequence

from flows.composed import Composed
from flows.planar import Planar


def planar(
    event_shape: int | Sequence[int], *, layers: int = 8, context: int | Sequence[int] | None = None
) -> Composed:
    """Rezende & Mohamed's normalizing flow (2015), arXiv:1505.05770: see `flows.Planar`.

    Fast to sample and to score what was sampled, so meant for posteriors; other points need a search a layer.

    Args:
        event_shape: D or (C, H, W).
        layers: how many.
        context: shape of one context, if the parameters of all layers are linear functions of it.
    """
    return Composed([Planar(event_shape, context=context) for _ in range(layers)])
