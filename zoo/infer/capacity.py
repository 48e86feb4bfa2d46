"""beta-VAE with a controlled capacity (Burgess et al. 2018), arXiv:1804.03599.

    loss = - E_q[log p(x | z)] + gamma |mean KL(q(z | x) || p(z)) - C|

C rises linearly, so that the latents take up the factors of the images one after the other. The mean is over
the images of a batch and the samples. This is a bound on nothing; evaluation is by the ELBO.

The constant and the annealed beta-VAE (arXiv:1606.05579) are `zoo.ELBO` with ``beta`` and with ``warmup``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.infer.handlers import Site
from zoo.infer.objectives import ELBO, ELBOLoss, Terms, analytic_where_unbiased, total
from zoo.settings import require


class CapacityELBO(ELBO):
    """See the module's docstring; in evaluation the ELBO.

    Args:
        num_particles: samples of z an image.
        gamma: factor of the distance from C.
        capacity: nats that C rises to.
        capacity_steps: steps over which it rises from 0.
        kl: how a latent's term is estimated.

    Raises:
        UsageError: if a number is out of range.
    """

    of_posterior = True

    def __init__(
        self,
        num_particles: int = 1,
        *,
        gamma: float = 1000.0,
        capacity: float = 25.0,
        capacity_steps: int = 100_000,
        kl: Callable[[Site], Tensor] = analytic_where_unbiased,
    ) -> None:
        super().__init__(num_particles, kl=kl)
        require(gamma >= 0, "gamma >= 0", gamma)
        require(capacity >= 0, "capacity >= 0 nats", capacity)
        require(capacity_steps >= 1, "capacity_steps >= 1", capacity_steps)
        self.gamma, self.capacity, self.capacity_steps = gamma, capacity, capacity_steps

    def capacity_at(self, step: int) -> float:
        """C at `step`, 0 the first, in nats."""
        return self.capacity * min(1.0, step / self.capacity_steps)

    def __call__(self, model: Any, guide: Any) -> "CapacityLoss":
        """The loss of this pair."""
        return CapacityLoss(model, guide, self)


class CapacityLoss(ELBOLoss):
    """Minus the ELBO; in training with the KL's distance from C in its place. See `CapacityELBO`."""

    objective: CapacityELBO
    capacity: Tensor

    def __init__(self, model: Any, guide: Any, objective: CapacityELBO) -> None:
        super().__init__(model, guide, objective)
        self.register_buffer("capacity", torch.zeros(()), persistent=False)

    def schedule(self, step: int) -> None:
        """Set C to its value at `step`."""
        super().schedule(step)
        if "capacity" in self._buffers:
            self.capacity.fill_(self.objective.capacity_at(step))

    def cost(self, terms: Terms) -> Tensor:
        """What is minimised, (k, B)."""
        if not self.training:
            return super().cost(terms)
        distance = (total(terms.kl).mean() - self.capacity).abs()
        return self.objective.gamma * distance - total(terms.log_likelihood)
