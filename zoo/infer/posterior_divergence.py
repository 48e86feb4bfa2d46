"""Mutual posterior divergence, MAE (Ma, Zhou, Hovy 2019), arXiv:1901.01498.

    loss = - ELBO + eta sum_d softplus(-m_d) + gamma sd

m_d is the mean of KL(q_d(z | x_i) || q_d(z | x_j)) over the ordered pairs i != j of the batch, d the latent
dimensions, and sd the standard deviation over these pairs of the sum of it over d. Posteriors that are all
the same cost eta D log 2; far apart, and equally far, they cost nothing. With eta = gamma = 0 this is the
ELBO; with the two terms, which are positive, a looser lower bound. Evaluation is by the ELBO.

In a flow's posterior it is the base that counts: a map that all images share leaves divergences as they are.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from distributions.base_normal import base_normal
from zoo.infer.handlers import Site
from zoo.infer.objectives import ELBO, ELBOLoss, Terms, analytic_where_unbiased
from zoo.settings import require


class MutualPosteriorDivergence(ELBO):
    """See the module's docstring; in evaluation the ELBO. For normal posteriors, and flows of such.

    Args:
        num_particles: samples of z an image.
        eta: factor of the diversity of the posteriors.
        gamma: factor of its smoothness.
        free_bits: as for `zoo.ELBO`.
        kl: how a latent's term is estimated.

    Raises:
        UsageError: if a factor is negative.
    """

    of_posterior = True

    def __init__(
        self,
        num_particles: int = 1,
        *,
        eta: float = 1.0,
        gamma: float = 0.5,
        free_bits: float = 0.0,
        kl: Callable[[Site], Tensor] = analytic_where_unbiased,
    ) -> None:
        super().__init__(num_particles, free_bits=free_bits, kl=kl)
        require(eta >= 0, "eta >= 0", eta)
        require(gamma >= 0, "gamma >= 0", gamma)
        self.eta, self.gamma = eta, gamma

    def __call__(self, model: Any, guide: Any) -> "MutualPosteriorDivergenceLoss":
        """The loss of this pair."""
        return MutualPosteriorDivergenceLoss(model, guide, self)


class MutualPosteriorDivergenceLoss(ELBOLoss):
    """Minus the ELBO, in training with the two terms; see `MutualPosteriorDivergence`."""

    objective: MutualPosteriorDivergence

    def __init__(self, model: Any, guide: Any, objective: MutualPosteriorDivergence) -> None:
        super().__init__(model, guide, objective)
        self.penalty: Any = 0.0

    def by_site(self, sites: Iterable[Site]) -> Terms:
        """The terms of a run, and the penalty of its posteriors."""
        sites = list(sites)
        if self.training and (self.objective.eta or self.objective.gamma):
            self.penalty = sum(self._penalty(site) for site in sites if not site.observed)
        return super().by_site(sites)

    def forward(self, x: Tensor) -> Tensor:
        """Minus the bound; in training plus the penalty."""
        self.penalty = 0.0
        loss = super().forward(x)
        return loss + self.penalty

    def _penalty(self, site: Site) -> Tensor:
        loc, scale = _moments(site)
        images = len(loc) // self.k  # of the samples of one image the first counts
        m, pairs = divergences(loc[:images], scale[:images])
        sd = (pairs.var() + 1e-12).sqrt()  # of finite gradient at 0
        return self.objective.eta * F.softplus(-m).sum() + self.objective.gamma * sd


def divergences(loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """m_d (D,) and the summed divergences of the ordered pairs i != j, (B (B - 1),), of normals (B, D).

    From sums over the batch and one matrix product: no (B, B, D) tensor.

    Raises:
        ValueError: for a batch of one image, of which there is no pair.
    """
    batch = len(loc)
    if batch < 2:
        raise ValueError("mutual posterior divergence needs two images a batch at least; got one")
    variance, precision = scale.square(), scale.reciprocal().square()
    loc = loc - loc.mean(0)  # nothing depends on a common shift: for precision
    square = variance + loc.square()
    # KL(i || j) = (s_i^2 + (m_i - m_j)^2) / (2 s_j^2) + log s_j / s_i - 1/2
    m = (square.sum(0) * precision.sum(0) - 2 * loc.sum(0) * (loc * precision).sum(0)) / 2
    m = (m + batch * ((loc.square() * precision).sum(0) - batch) / 2) / (batch * (batch - 1))
    log_scale = scale.log().sum(1)
    cross = square @ precision.T / 2 - loc @ (loc * precision).T
    total = cross + (loc.square() * precision).sum(1) / 2 + log_scale - log_scale[:, None] - loc.shape[1] / 2
    others = total.flatten()[1:].view(batch - 1, batch + 1)[:, :-1]  # all but the diagonal
    return m, others.flatten()


def _moments(site: Site) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the normal behind a posterior, (N, D)."""
    q = site.posterior
    while hasattr(q, "transforms"):
        q = q.base_dist
    normal = base_normal(q)
    return normal.loc.flatten(1), normal.scale.flatten(1)
