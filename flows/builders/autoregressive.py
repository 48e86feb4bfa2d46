"""Sequences of autoregressive flows, the order of the elements reversed from one to the next."""

from collections.abc import Callable, Sequence
from typing import Any

from flows.autoregressive import IAF, MAF
from flows.composed import Composed
from flows.flow import Flow


def iaf(
    event_shape: int | Sequence[int],
    *,
    layers: int = 2,
    hidden: Sequence[int] | None = None,
    **options: Any,
) -> Composed:
    r"""Inverse autoregressive flow, arXiv:1606.04934: one pass per layer to sample and score.

    Args:
        event_shape: D or (C, H, W).
        layers: how many.
        hidden: widths of each layer's network, see `flows.IAF`.
        options: ``context``, ``bound``: see `flows.IAF`.

    Raises:
        ValueError: if there is no layer.

    >>> import torch
    >>> iaf(6, context=3).condition(torch.zeros(4, 3))(torch.randn(4, 6)).shape
    torch.Size([4, 6])
    """
    return _alternating(IAF, event_shape, layers, {"hidden": hidden, **options})


def maf(
    event_shape: int | Sequence[int],
    *,
    layers: int = 5,
    hidden: Sequence[int] | None = None,
    **options: Any,
) -> Composed:
    r"""Masked autoregressive flow, arXiv:1705.07057: one pass per layer to score data.

    Args:
        event_shape: D or (C, H, W).
        layers: how many.
        hidden: widths of each layer's network, see `flows.MAF`.
        options: ``context``, ``bound``: see `flows.MAF`.

    Raises:
        ValueError: if there is no layer.
    """
    return _alternating(MAF, event_shape, layers, {"hidden": hidden, **options})


def _alternating(
    make: Callable[..., Flow], event_shape: int | Sequence[int], layers: int, options: dict[str, Any]
) -> Composed:
    return Composed([make(event_shape, reverse=bool(i % 2), **options) for i in range(layers)])
