"""A stationary autoregression of order one: the prior of delta-VAE (Razavi et al. 2019), arXiv:1901.03416."""

from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, constraints
from torch.distributions.kl import register_kl

from distributions.base_normal import base_normal


class StationaryAR1(dist.TorchDistribution):
    r"""z_1 ~ N(0, 1), z_t = a z_{t-1} + sqrt(1 - a^2) e_t, for each of D dimensions with a rate a of its own.

    Every z_t is N(0, 1), and z_s and z_t have the correlation a^|t - s|. A normal of independent z_t cannot
    be this one unless a = 0: its divergence is at least `committed_rate`, so that a posterior of such normals
    cannot collapse.

    Args:
        rates: a, (D,), in (-1, 1).
        steps: T, two at least.

    Shapes:
        batch: (); event: (D, T).

    Raises:
        ValueError: if the rates are no vector, or there are fewer than two steps.

    >>> StationaryAR1(torch.tensor([0.9]), 8).committed_rate()
    tensor(2.6103)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"rates": constraints.interval(-1.0, 1.0)}
    has_rsample = True

    def __init__(self, rates: Tensor, steps: int, *, validate_args: bool | None = None) -> None:
        if rates.dim() != 1 or steps < 2:
            raise ValueError(f"expected rates (D,) and steps >= 2; got {tuple(rates.shape)} and {steps}")
        self.rates, self.steps = rates, steps
        super().__init__(torch.Size(), torch.Size([len(rates), steps]), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        """All real values."""
        return constraints.independent(constraints.real, 2)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "StationaryAR1":
        """The same at a larger batch shape."""
        new = self._get_checked_instance(StationaryAR1, _instance)
        new.rates, new.steps = self.rates, self.steps
        super(StationaryAR1, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(z), in nats."""
        if self._validate_args:
            self._validate_sample(value)
        first = Normal(0.0, 1.0, validate_args=False).log_prob(value[..., 0])
        later = Normal(self.rates[:, None] * value[..., :-1], self._scale[:, None], validate_args=False)
        total = (first + later.log_prob(value[..., 1:]).sum(-1)).sum(-1)
        return total.expand(torch.broadcast_shapes(total.shape, self.batch_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Step after step."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.rates.dtype, device=self.rates.device)
        z = [noise[..., 0]]
        for t in range(1, self.steps):
            z.append(self.rates * z[-1] + self._scale * noise[..., t])
        return torch.stack(z, -1)

    @property
    def mean(self) -> Tensor:
        """Zero."""
        return self.rates.new_zeros(self.batch_shape + self.event_shape)

    @property
    def variance(self) -> Tensor:
        """One."""
        return self.rates.new_ones(self.batch_shape + self.event_shape)

    def committed_rate(self) -> Tensor:
        """delta, the least KL(q || p) of normals q of independent values, in nats.

        1/2 sum_d [(T - 2) log(1 + a_d^2) - log(1 - a_d^2)], at mean 0 and variance 1 - a^2 at both ends,
        (1 - a^2) / (1 + a^2) between them.
        """
        square = self.rates.square()
        return 0.5 * ((self.steps - 2) * square.log1p() - (-square).log1p()).sum()

    @property
    def _scale(self) -> Tensor:
        return (1 - self.rates.square()).sqrt()


@register_kl(Independent, StationaryAR1)
def _kl_independent_ar1(q: Independent, p: StationaryAR1) -> Tensor:
    """In closed form, for independent normals of the same event.

    Raises:
        NotImplementedError: for other distributions.
    """
    if not isinstance(q.base_dist, Normal) or q.event_shape != p.event_shape:
        raise NotImplementedError
    normal, rates = base_normal(q), p.rates[:, None]
    loc, variance = normal.loc, normal.scale.square()
    noise = 1 - rates.square()
    first = loc[..., :1].square() + variance[..., :1]
    off = (loc[..., 1:] - rates * loc[..., :-1]).square()
    later = (variance[..., 1:] + off + rates.square() * variance[..., :-1]) / noise + noise.log()
    squares = torch.cat([first, later], -1)
    return 0.5 * (squares - variance.log() - 1).sum((-1, -2))
