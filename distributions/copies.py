"""Independent copies of a distribution along a new batch dimension."""

from typing import Any

import pyro.distributions as dist

from distributions.logistic import Logistic
from distributions.transformed import TransformedDistribution


def independent_copies(distribution: Any, n: int) -> Any:
    """`distribution` with the batch shape (n,): ``distribution.expand([n])``.

    Normals, logistics, what flows make of them, and labels are made anew instead: ``expand`` creates its
    result by ``__new__``, through which ``torch.compile`` sees only from a PyTorch later than 2.11 on.
    """
    if type(distribution) in (dist.TransformedDistribution, TransformedDistribution):
        return TransformedDistribution(independent_copies(distribution.base_dist, n), distribution.transforms)
    if isinstance(distribution, dist.Independent):
        base, event_dim = distribution.base_dist, distribution.reinterpreted_batch_ndims
        if type(base) in (dist.Normal, dist.Logistic, Logistic) and len(base.batch_shape) == event_dim:
            shape = (n, *base.batch_shape)
            return type(base)(base.loc.expand(shape), base.scale.expand(shape)).to_event(event_dim)
    if type(distribution) is dist.OneHotCategorical and not distribution.batch_shape:
        return dist.OneHotCategorical(logits=distribution.logits.expand(n, -1))
    return distribution.expand([n])
