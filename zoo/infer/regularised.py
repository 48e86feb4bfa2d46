"""NVAE's objective (Vahdat & Kautz 2020), arXiv:2007.03898: the ELBO with two terms that act in training.

    loss = - E_q[log p(x | z)] + beta sum_i gamma_i KL_i + lambda (sum_W sigma_max(W) + sum_BN max |gamma_BN|)

beta rises from 0 to 1 (warm-up). Meanwhile the KL terms are balanced, so that no group is shut off before it
is of use:

    gamma_i = L r_i / sum_j r_j,   r_i = (E_batch|KL_i| + 0.01) / a_i,   a_i = d_i / G_i

d_i numbers in latent i, of which G_i latents have the same shape; L latents. The more a latent says for its
share, the more it pays. Their mean is 1, no gradient passes through them, and from beta = 1 on they are 1.
(These are the published code's: for KL equal in every dimension they are not all 1.)
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo.infer.handlers import Site
from zoo.infer.objectives import ELBO, ELBOLoss, Terms
from zoo.nn.spectral import BatchNormScales, SpectralNorms
from zoo.settings import passes_on, require


class RegularisedELBO(ELBO):
    """The ELBO with balanced KL terms and smooth networks; see the module's docstring.

    Args:
        balance: whether the KL terms are balanced during the warm-up.
        spectral: lambda, when the warm-up is over; 0 for no penalty.
        spectral_start: lambda at the beginning, from which it goes to `spectral` geometrically in beta; None
            for the same.
        options: of `zoo.ELBO`.

    Raises:
        UsageError: if a number is out of range.
    """

    @passes_on(ELBO)
    def __init__(
        self,
        *,
        balance: bool = True,
        spectral: float = 1e-2,
        spectral_start: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require(spectral >= 0, "spectral >= 0", spectral)
        start = spectral if spectral_start is None else spectral_start
        require((start > 0) == (spectral > 0), "spectral and spectral_start both above 0, or both 0", start)
        self.balance, self.spectral, self.spectral_start = balance, spectral, start

    def __call__(self, model: Any, guide: Any) -> "RegularisedELBOLoss":
        """The loss of this pair, both nn.Modules."""
        return RegularisedELBOLoss(model, guide, self)


class RegularisedELBOLoss(ELBOLoss):
    """Minus the ELBO, in training with balanced KL terms and penalties; see `RegularisedELBO`."""

    objective: RegularisedELBO

    def __init__(self, model: Any, guide: Any, objective: RegularisedELBO) -> None:
        super().__init__(model, guide, objective)
        self.shares: dict[str, float] = {}
        penalised = (model, guide) if objective.spectral else ()
        self.spectral_norms, self.batch_norm_scales = SpectralNorms(penalised), BatchNormScales(penalised)

    def forward(self, x: Tensor) -> Tensor:
        """Minus the bound; in training plus the penalties."""
        bound = super().forward(x)
        if not self.training or not self.objective.spectral:
            return bound
        penalty = self.spectral_norms() + self.batch_norm_scales()
        self.stats["spectral"] = penalty.detach()
        return bound + self.penalty_factor() * penalty

    def penalty_factor(self) -> Tensor:
        """Lambda = start^(1 - beta) spectral^beta."""
        beta = self.beta.clamp(max=1.0)
        return self.objective.spectral_start ** (1 - beta) * self.objective.spectral**beta

    def by_site(self, sites: Iterable[Site]) -> Terms:
        """The terms of a run, and a_i of every latent."""
        sites = list(sites)
        shapes = {s.name: s.value.shape[1:] for s in sites if not s.observed}
        count = Counter(shapes.values())
        self.shares = {name: shape.numel() / count[shape] for name, shape in shapes.items()}
        return super().by_site(sites)

    def cost(self, terms: Terms) -> Tensor:
        """What is minimised, (k, B)."""
        if self.training and self.objective.balance and terms.kl:
            terms = replace(terms, kl=self.balanced(terms.kl))
        return super().cost(terms)

    def balanced(self, kl: dict[str, Tensor]) -> dict[str, Tensor]:
        """gamma_i KL_i of every latent."""
        factors = torch.where(self.beta < 1, balance(kl, self.shares), 1.0)
        return {name: term * factors[i] for i, (name, term) in enumerate(kl.items())}


def balance(kl: dict[str, Tensor], shares: dict[str, float]) -> Tensor:
    """gamma_i, (L,), from the terms (k, B) and a_i of every latent; detached."""
    r = torch.stack([(term.detach().abs().mean() + 0.01) / shares[name] for name, term in kl.items()])
    return len(kl) * r / r.sum()
