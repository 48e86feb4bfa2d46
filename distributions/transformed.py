r"""Transformed distributions that run each transform once.

PyTorch's `TransformedDistribution` asks a transform for a value and for its log det in two calls, each of
which runs the transform's network, unless one of them remembers the other. Nothing is remembered here: a
transform that has

    call_and_log_det(x)      y and log \|det dy/dx\|
    inverse_and_log_det(y)   x and log \|det dx/dy\|

is asked for both at once. So ``log_prob`` is always that of the parameters as they are now, and its
gradient that of the density at the value, wherever the value comes from.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions.utils import _sum_rightmost

from distributions.base_normal import elements
from distributions.fused import is_plain_normal
from distributions.fused_normal import log_of_noise


class TransformedDistribution(dist.TransformedDistribution):
    """Pyro's ``TransformedDistribution``, in one pass of each transform.

    A density takes one inverse pass. A sample and its density together take one pass forwards by
    `rsample_and_log_prob`; scored afterwards by ``log_prob`` a sample is a value as any other.

    Args:
        base_distribution: see PyTorch.
        transforms: see PyTorch.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        r"""Log p(value), (\*batch), in nats."""
        if self._validate_args:
            self._validate_sample(value)
        event_dim = len(self.event_shape)
        log_prob: Any = 0.0
        for transform in reversed(self.transforms):
            event_dim += transform.domain.event_dim - transform.codomain.event_dim
            value, log_det = _inverse_and_log_det(transform, value)
            log_prob = log_prob + _sum_rightmost(log_det, event_dim - transform.domain.event_dim)
        of_base = self.base_dist.log_prob(value)
        return log_prob + _sum_rightmost(of_base, event_dim - len(self.base_dist.event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution on a larger batch."""
        new = self._get_checked_instance(TransformedDistribution, _instance)
        return super().expand(torch.Size(batch_shape), _instance=new)


def rsample_and_log_prob(distribution: Any, sample_shape: Any = ()) -> tuple[Tensor, Tensor]:
    """Draw y and log p(y), for a transformed distribution in one pass of each transform.

    The graph of log p(y) leads to the parameters, partly through the base's sample, and not through y: it is
    a total derivative. For d log p(y) / dy score y by ``log_prob``.

    Args:
        distribution: one that has ``rsample``.
        sample_shape: as of ``rsample``.

    Returns:
        y (*sample_shape, *batch, *event) and log p(y) (*sample_shape, *batch), in nats.

    >>> normal = dist.Normal(torch.zeros(2), 1.0).to_event(1)
    >>> p = TransformedDistribution(normal, [dist.transforms.ExpTransform()])
    >>> y, log_prob = rsample_and_log_prob(p, (3,))
    >>> torch.allclose(log_prob, p.log_prob(y), atol=1e-5)
    True
    """
    drawn = scored_draw(distribution, sample_shape)
    if drawn is not None:
        return drawn.value, drawn.log_prob()
    y = distribution.rsample(torch.Size(sample_shape))
    return y, distribution.log_prob(y)


class ScoredDraw(NamedTuple):
    """A draw, and how its log density follows from what it was made of.

    Attributes:
        value: (*sample_shape, *batch, *event).
        log_prob: called with nothing, its log density (*sample_shape, *batch), a total derivative, in nats.
    """

    value: Tensor
    log_prob: Callable[[], Tensor]


def scored_draw(distribution: Any, sample_shape: Any = ()) -> ScoredDraw | None:
    """A draw of a distribution for which this is cheaper than ``rsample`` and ``log_prob``, otherwise None.

    Of normals, from whose noise the density follows, and of transformed distributions with transforms of one
    pass.
    """
    base, event_dim = elements(distribution)
    if is_plain_normal(base):
        shape = base._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=base.loc.dtype, device=base.loc.device)
        density = partial(log_of_noise, noise, base.scale.expand_as(noise), event_dim)
        return ScoredDraw(base.loc + noise * base.scale, density)
    if not is_scored_as_drawn(base):
        return None
    value, log_prob = _pushed(base, sample_shape)
    return ScoredDraw(value, partial(_sum_rightmost, log_prob, event_dim))


def is_scored_as_drawn(distribution: Any) -> bool:
    """Whether it is a transformed distribution of which a draw and its density take one pass together."""
    distribution, _ = elements(distribution)
    if not isinstance(distribution, torch.distributions.TransformedDistribution):
        return False
    own = any(hasattr(t, "call_and_log_det") for t in distribution.transforms)
    return distribution.has_rsample and (own or is_scored_as_drawn(distribution.base_dist))


def _pushed(distribution: Any, sample_shape: Any) -> tuple[Tensor, Tensor]:
    """The base's sample through the transforms; event dimensions as in ``log_prob``, counted forwards."""
    transforms, base = distribution.transforms, distribution.base_dist
    event_dim = len(distribution.event_shape) - sum(
        t.codomain.event_dim - t.domain.event_dim for t in transforms
    )
    value, log_prob = rsample_and_log_prob(base, sample_shape)
    log_prob = _sum_rightmost(log_prob, event_dim - len(base.event_shape))
    for transform in transforms:
        value, log_det = _call_and_log_det(transform, value)
        log_prob = log_prob - _sum_rightmost(log_det, event_dim - transform.domain.event_dim)
        event_dim += transform.codomain.event_dim - transform.domain.event_dim
    return value, log_prob


def _call_and_log_det(transform: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    if hasattr(transform, "call_and_log_det"):
        return transform.call_and_log_det(x)
    y = transform(x)
    return y, transform.log_abs_det_jacobian(x, y)


def _inverse_and_log_det(transform: Any, y: Tensor) -> tuple[Tensor, Tensor]:
    if hasattr(transform, "inverse_and_log_det"):
        return transform.inverse_and_log_det(y)
    x = transform.inv(y)
    return x, -transform.log_abs_det_jacobian(x, y)
