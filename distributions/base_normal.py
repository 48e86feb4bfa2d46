"""Access to the parameters of a normal, for normals that are built from others."""

from torch.distributions import Distribution, Independent, Normal


def base_normal(distribution: Distribution) -> Normal:
    """The normal itself, or the one inside ``Independent`` (``.to_event``).

    Raises:
        TypeError: if there is another distribution in there.
    """
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    if not isinstance(distribution, Normal):
        raise TypeError(
            f"expected a Normal or an Independent(Normal); got {type(distribution).__name__}: "
            "a masked, expanded or transformed normal has no loc and scale of its own to build on"
        )
    return distribution
