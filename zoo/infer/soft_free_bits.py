"""Soft free bits of the variational lossy autoencoder (Chen et al. 2016), arXiv:1611.02731, appendix C.

    loss = - E_q[log p(x | z)] + gamma KL(q(z | x) || p(z))

After each step gamma is multiplied by 1 + rate where the batch's KL is more than a tolerance above its
target, and divided by it where the KL is more than the tolerance below; gamma stays at most 1, where the
loss is minus the ELBO. So latents are cheap until the target is used, and no image pays a kink as with
`zoo.ELBO`'s free bits. Below gamma = 1 this is a bound on nothing; evaluation is by the ELBO.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.conversion import Positive
from zoo.infer.handlers import Site
from zoo.infer.objectives import ELBO, ELBOLoss, Terms, analytic_where_unbiased, total
from zoo.settings import require

SMALLEST = 1e-6  # of gamma, from which it comes back in a few hundred steps


class SoftFreeBits(ELBO):
    """See the module's docstring; in evaluation the ELBO.

    Args:
        num_particles: samples of z an image.
        target: nats an image that all latents together are to cost at least.
        rate: by which gamma changes in a step.
        tolerance: share of the target by which the KL may differ before gamma changes.
        start: gamma of the first step.
        kl: how a latent's term is estimated.

    Raises:
        UsageError: if a number is out of range.
    """

    of_posterior = True

    def __init__(
        self,
        num_particles: int = 1,
        *,
        target: float = 5.0,
        rate: Positive = 0.1,
        tolerance: float = 0.05,
        start: float = 1.0,
        kl: Callable[[Site], Tensor] = analytic_where_unbiased,
    ) -> None:
        super().__init__(num_particles, kl=kl)
        require(target >= 0, "target >= 0 nats", target)
        require(rate > 0, "rate > 0", rate)
        require(0 <= tolerance < 1, "0 <= tolerance < 1", tolerance)
        require(SMALLEST <= start <= 1, f"{SMALLEST} <= start <= 1", start)
        self.target, self.rate, self.tolerance, self.start = target, rate, tolerance, start

    def __call__(self, model: Any, guide: Any) -> "SoftFreeBitsLoss":
        """The loss of this pair."""
        return SoftFreeBitsLoss(model, guide, self)


class SoftFreeBitsLoss(ELBOLoss):
    """Minus the ELBO; in training with gamma, which is part of its state. See `SoftFreeBits`."""

    objective: SoftFreeBits
    gamma: Tensor

    def __init__(self, model: Any, guide: Any, objective: SoftFreeBits) -> None:
        super().__init__(model, guide, objective)
        self.register_buffer("gamma", torch.tensor(objective.start))

    def cost(self, terms: Terms) -> Tensor:
        """What is minimised, (k, B); in training gamma then moves towards the target."""
        if not self.training:
            return super().cost(terms)
        kl = total(terms.kl)
        cost = self.gamma.clone() * kl - total(terms.log_likelihood)
        if torch.is_grad_enabled():
            self._adjust(kl.detach().mean())
        self.stats["gamma"] = self.gamma.clone()
        return cost

    def _adjust(self, kl: Tensor) -> None:
        """Gamma of the next step; on the device, without a look at its value."""
        target, tolerance, factor = self.objective.target, self.objective.tolerance, 1 + self.objective.rate
        above, below = kl > (1 + tolerance) * target, kl < (1 - tolerance) * target
        change = torch.where(above, factor, torch.where(below, 1 / factor, 1.0))
        self.gamma.copy_((self.gamma * change).clamp(SMALLEST, 1.0))
