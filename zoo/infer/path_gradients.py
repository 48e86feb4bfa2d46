"""Gradients of bounds by the path of the latents only: sticking the landing, and DReG.

With log w = log p(x, z) - log q(z | x) and z = z(noise, phi), the gradient of log w in the guide's parameters
phi has two parts, one by the path of z and one by phi itself, the score. The score's mean is zero; its
variance is not, even where q is the posterior.

    path_k = d log w_k / d z_k  d z_k / d phi,   v_k = w_k / sum_j w_j

    sticking the landing (Roeder, Wu, Duvenaud 2017, arXiv:1703.09194):  sum_k path_k / K,     of the ELBO
    DReG (Tucker, Lawson, Gu, Maddison 2018, arXiv:1810.04152):          sum_k v_k^2 path_k,   of L_K

Both are unbiased and have no variance where q is the posterior. The gradient in the model's own parameters is
sum_k v_k d log p(x, z_k) (1/K in place of v_k for the ELBO), as ever.

In a hierarchy the density of one latent depends on those before it, by the very networks whose score is left
out. So the graph is cut at every latent, d log w / d z is taken with all others fixed, and then carried back
from latent to latent along their draws.

The density is evaluated at the cut latents: guides with flows need these flows' inverse, which costs a pass a
dimension where it is autoregressive (IAF).
"""

from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from zoo.infer.joint import Joint
from zoo.infer.objectives import (
    Bound,
    Objective,
    Terms,
    log_mean,
    monte_carlo,
    require_count,
    require_reparameterised,
    significant,
)


class StickingTheLanding(Objective):
    """The ELBO by Monte Carlo, with its gradient by the path; see the module's docstring.

    A lower bound on log p(x), the same in value as `zoo.ELBO` with ``kl=monte_carlo``.

    Args:
        num_particles: samples of z an image.

    Raises:
        UsageError: if there is none.
    """

    def __init__(self, num_particles: int = 1) -> None:
        require_count("num_particles", num_particles)
        self.k = num_particles

    def __call__(self, model: Any, guide: Any) -> "PathGradientLoss":
        """The loss of this pair."""
        return PathGradientLoss(model, guide, self)

    def bound(self, log_w: Tensor) -> Tensor:
        """The bound from log weights (K, B), (B,)."""
        return log_w.mean(0)

    def factors(self, log_w: Tensor) -> tuple[Tensor, Tensor]:
        """The factors of the model's gradient and of the path's, (K, B) each."""
        equal = torch.full_like(log_w, 1 / self.k)
        return equal, equal


class DReG(StickingTheLanding):
    """The importance-weighted bound L_K, with its doubly reparameterised gradient.

    A lower bound on log p(x), the same in value as `zoo.ImportanceWeighted`. The signal-to-noise ratio of the
    guide's gradient rises as sqrt(K), where that of autograd falls as 1 / sqrt(K).

    Args:
        k: importance samples an image.

    Raises:
        UsageError: if there is none.
    """

    def __init__(self, k: int = 50) -> None:
        require_count("k", k)
        self.k = k

    def bound(self, log_w: Tensor) -> Tensor:
        """Log 1/K sum_k w_k, (B,)."""
        return log_mean(log_w)

    def factors(self, log_w: Tensor) -> tuple[Tensor, Tensor]:
        """v_k and v_k^2."""
        v = significant(log_w).softmax(0)
        return v, v.square()


class PathGradientLoss(Bound):
    """Minus a bound, mean nats an image, whose gradient is by the path; see the module's docstring.

    Its forward takes gradients itself, so it cannot be compiled whole.
    """

    def __init__(self, model: Any, guide: Any, objective: StickingTheLanding) -> None:
        super().__init__(model, guide, k=objective.k, kl=monte_carlo)
        self.objective = objective

    def forward(self, x: Tensor) -> Tensor:
        """Minus the bound.

        Raises:
            ValueError: where a gradient is wanted and a posterior is not reparameterised, or a draw of it
                has no gradient.
        """
        if not torch.is_grad_enabled():
            return self._minus_bound(self.terms(x))
        cut = Cut()
        sites = list(Joint(self.model, self.guide, x).sample(self.k, cut).values())
        require_reparameterised(sites)
        terms = self.by_site(sites)
        value, log_w = self._minus_bound(terms), terms.elbo()
        of_model, of_path = self.objective.factors(log_w.detach())
        log_p = torch.stack([site.log_p() for site in sites]).sum(0).view(self.k, -1)
        surrogate = (of_model * log_p).sum() + cut.along_the_path((of_path * log_w).sum())
        return value - (surrogate - surrogate.detach()) / log_w.shape[1]

    def _minus_bound(self, terms: Terms) -> Tensor:
        bound = self.objective.bound(terms.elbo().detach()).mean()
        self.stats = {**terms.means(), "bound": bound}
        return -bound


class Cut(Messenger):
    """Cuts the graph at every latent: what is drawn is replaced by a leaf of the same value."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: dict[str, Tensor] = {}
        self.leaves: dict[str, Tensor] = {}

    def _pyro_post_sample(self, msg: Any) -> None:
        if msg["is_observed"] or site_is_subsample(msg) or msg["infer"].get("_deterministic"):
            return
        name = msg["name"]
        if name not in self.leaves:  # a latent drawn bottom-up is met again in the model
            self.drawn[name] = msg["value"]
            self.leaves[name] = msg["value"].detach().requires_grad_()
        msg["value"] = self.leaves[name]

    def along_the_path(self, total: Tensor) -> Tensor:
        """A scalar whose gradient is that of `total` by way of the latents' draws; its value means nothing.

        G_i = d total / d z_i + sum_j G_j d z_j / d z_i over the latents j drawn after i and from it.
        """
        names = list(self.leaves)
        gradients = dict(zip(names, self._of_leaves(total, names), strict=True))
        surrogate = total.new_zeros(())
        for j in reversed(range(len(names))):
            drawn = self.drawn[names[j]]
            if not drawn.requires_grad:
                continue
            path = (drawn * gradients[names[j]]).sum()
            for name, more in zip(names[:j], self._of_leaves(path, names[:j]), strict=True):
                gradients[name] = gradients[name] + more
            surrogate = surrogate + path
        return surrogate

    def _of_leaves(self, total: Tensor, names: list[str]) -> list[Tensor]:
        """The gradients of `total` in these leaves, zero where it does not depend on one."""
        leaves = [self.leaves[name] for name in names]
        if not leaves:
            return []
        found = torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(z) if g is None else g for z, g in zip(leaves, found, strict=True)]
