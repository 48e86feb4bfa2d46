"""Access to what is inside ``Independent``, for densities that are built from others."""

from typing import Any

from torch.distributions import Distribution, Independent, Normal


def elements(distribution: Any) -> tuple[Any, int]:
    """What is inside ``Independent`` (``.to_event``), and how many of its dimensions are of the event."""
    event_dim = 0
    while isinstance(distribution, Independent):
        event_dim += distribution.reinterpreted_batch_ndims
        distribution = distribution.base_dist
    return distribution, event_dim


def base_normal(distribution: Distribution) -> Normal:
    """The normal itself, or the one inside ``Independent`` (``.to_event``).

    Raises:
        TypeError: if there is another distribution in there.
    """
    normal, _ = elements(distribution)
    if not isinstance(normal, Normal):
        raise TypeError(
            f"expected a Normal or an Independent(Normal); got {type(normal).__name__}: "
            "a masked, expanded or transformed normal has no loc and scale of its own to build on"
        )
    return normal
