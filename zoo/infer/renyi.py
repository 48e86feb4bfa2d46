"""Rényi divergences' variational bounds (Li & Turner 2016), arXiv:1602.02311.

    L_alpha = 1 / (1 - alpha) log E_q[w^(1 - alpha)],   w = p(x, z) / q(z | x)

L_1 is the ELBO, L_0 = log p(x), and L falls with alpha. Of K samples' means in place of the expectation, the
estimate at alpha = 0 is the importance-weighted bound; for alpha >= 0 it is below log p(x) in expectation;
for alpha < 0 it need not be. With K = 1 it is the ELBO's for every alpha.
"""

import math
from typing import Any

import torch
from torch import Tensor

from zoo.infer.objectives import Bound, Objective, log_mean, monte_carlo, require_count
from zoo.settings import require

SMALL_POWER = 0.1  # |1 - alpha| up to which the bound is taken as the ELBO's and a correction


class Renyi(Objective):
    """The bound of order alpha by K samples: a lower bound on log p(x) for alpha >= 0, otherwise none.

    Args:
        k: samples of z an image.
        alpha: order; 1 for the ELBO, 0 for `zoo.ImportanceWeighted`.

    Raises:
        UsageError: if k is smaller than 1.
    """

    def __init__(self, k: int = 50, alpha: float = 0.5) -> None:
        require_count("k", k)
        require(math.isfinite(alpha), "a finite alpha (VRMax is the limit of -inf)", alpha)
        self.k, self.alpha = k, alpha

    def __call__(self, model: Any, guide: Any) -> "RenyiLoss":
        """The loss of this pair."""
        return RenyiLoss(model, guide, self)

    def bound(self, log_w: Tensor) -> Tensor:
        """L_alpha from log weights (K, B), (B,)."""
        if self.alpha == 1:
            return log_w.mean(0)
        power = 1 - self.alpha
        bound = log_mean(power * log_w) / power
        if abs(power) > SMALL_POWER:
            return bound
        near, corrected = _near_one(log_w, power)
        return torch.where(near, corrected, bound)


def _near_one(log_w: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Which images have L_alpha as their mean log weight and a small correction, and that sum, (B,) each.

    The formula itself divides the rounding error of a logarithm by a power near 0: in float32 it is off by
    0.1 nats at alpha = 1 - 1e-6.
    """
    mean = log_w.mean(0)
    exponents = power * (log_w - mean)
    near = exponents.detach().abs().amax(0) < 1
    return near, mean + exponents.clamp(-1, 1).expm1().mean(0).log1p() / power


class VRMax(Renyi):
    """max_k log w_k, the limit of alpha = -infinity: backward passes of the largest weight only.

    No bound on log p(x): it may be above by at most log K.

    Args:
        k: samples of z an image.

    Raises:
        UsageError: if k is smaller than 1.
    """

    def __init__(self, k: int = 50) -> None:
        super().__init__(k)
        self.alpha = -math.inf

    def bound(self, log_w: Tensor) -> Tensor:
        """The largest log weight, (B,)."""
        return log_w.max(0).values


class RenyiLoss(Bound):
    """Minus the estimate in training, mean nats an image; minus the mean log weight, the ELBO, otherwise."""

    def __init__(self, model: Any, guide: Any, objective: Renyi) -> None:
        super().__init__(model, guide, k=objective.k, kl=monte_carlo)
        self.objective = objective

    def forward(self, x: Tensor) -> Tensor:
        """Minus L_alpha in training, minus the ELBO otherwise."""
        terms = self.terms(x)
        self.stats = terms.means()
        log_w = terms.elbo()
        bound = self.objective.bound(log_w)
        self.stats["bound"] = bound.detach().mean()
        return -(bound if self.training else log_w).mean()
