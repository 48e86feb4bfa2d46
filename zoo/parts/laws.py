"""Laws: q(z | x) from its prior p(z) and two maps of parameters, (B, D, H, W) each."""

from typing import Any

import pyro.distributions as dist
from torch import Tensor

from distributions import ResidualNormal


def residual(prior: Any, loc: Tensor, log_scale: Tensor) -> Any:
    """N(mu + loc, (sigma exp(log_scale))^2): offsets from the prior N(mu, sigma^2) (arXiv:2007.03898)."""
    return ResidualNormal(prior, loc, log_scale).to_event(3)


def absolute(prior: Any, loc: Tensor, log_scale: Tensor) -> Any:
    """N(loc, exp(log_scale)^2), whatever the prior is: the ablation in the same paper."""
    return dist.Normal(loc, log_scale.exp()).to_event(3)
