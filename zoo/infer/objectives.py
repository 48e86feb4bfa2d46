"""Objectives: bounds on log p(x), made for a pair of model and guide as Pyro's own ELBOs are.

    loss = ELBO()(model, guide)            # an nn.Module with the parameters of both
    loss(x).backward()                     # minus the bound, mean nats an image
    loss.terms(x).kl["z"]                  # every site's term, (k, B)

No step synchronises with the GPU; coefficients that change are buffers, so that a compiled or captured step
uses their current values. In evaluation mode (``loss.eval()``) the bound is the plain one.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from zoo.conversion import Natural
from zoo.errors import UsageError
from zoo.infer.handlers import Site
from zoo.infer.joint import Joint
from zoo.infer.schedules import linear_warmup
from zoo.settings import require

LARGEST = torch.finfo(torch.float32).max  # of a coefficient, which is a float32 buffer
NEGLIGIBLE = 50.0  # nats below the largest log weight: e^-50 = 2e-22 of it, less than float64 resolves


@dataclass
class Terms:
    """The terms of a bound by site, each (k, B), in nats.

    Attributes:
        log_likelihood: log p of every observed site.
        kl: of every latent site, a term whose expectation is KL(q || p) there.
        whole: latent sites that pay their whole KL in training, free bits or not.
    """

    log_likelihood: dict[str, Tensor]
    kl: dict[str, Tensor]
    whole: frozenset[str] = frozenset()

    def elbo(self) -> Tensor:
        """Sum log p(x | z) - sum KL, (k, B)."""
        return total(self.log_likelihood) - total(self.kl)

    def means(self) -> dict[str, Tensor]:
        """Detached means for a log: ``elbo``, ``log_likelihood``, ``kl``, and ``kl/SITE`` of every latent."""
        kl = {name: term.detach().mean() for name, term in self.kl.items()}
        log_likelihood = total({name: term.detach().mean() for name, term in self.log_likelihood.items()})
        divergence = sum(kl.values(), torch.zeros_like(log_likelihood))
        means: dict[str, Any] = {
            "elbo": log_likelihood - divergence,
            "log_likelihood": log_likelihood,
            "kl": divergence,
        }
        return {**means, **{f"kl/{name}": term for name, term in kl.items()}}


def monte_carlo(site: Site) -> Tensor:
    """Log q(z) - log p(z) at the sample, (N,): unbiased wherever z was drawn."""
    return site.log_q() - site.log_p()


def analytic_where_unbiased(site: Site) -> Tensor:
    """KL(q || p) in closed form, (N,); Monte Carlo for latents drawn before the model ran.

    The prior of such a latent may depend on variables that were drawn after it and from it, so the closed
    form would be the KL to a prior that has already seen z. Also Monte Carlo where no closed form is known.
    """
    if site.early:
        return monte_carlo(site)
    try:
        return site.kl()
    except NotImplementedError:
        return monte_carlo(site)


class Objective:
    """An objective, called with model and guide, returns their loss; a run also needs what is here.

    Attributes:
        of_posterior: whether it is about a posterior that is learned, so that a guide without parameters, as
            of a density of images, makes no sense.
    """

    of_posterior: bool = False

    def prepare(self, model: Any, data: Any, encoding: Callable[..., Tensor]) -> None:
        """Take from the data what the objective needs besides batches of images, for example labels.

        Args:
            model: that will be trained.
            data: images (`zoo.data.ImageData`).
            encoding: uint8 images and their number of levels to what the model takes.
        """

    def metrics(self, loss: Any, x: Tensor, labels: Tensor | None, **options: Any) -> dict[str, float]:
        """Figures of the images x besides the bound, by name: none.

        Args:
            loss: of the pair.
            x: images (B, C, H, W).
            labels: of the images (B,), if there are any.
            options: number of ``samples`` and ``seed``.
        """
        return {}


class ELBO(Objective):
    """L(x) = E_q[log p(x | z)] - sum_i E_q[KL(q(z_i | .) || p(z_i | .))] (arXiv:1312.6114).

    Beta and free bits act in training only. Another schedule of either is a subclass with another `beta_at`
    or `free_bits_at`.

    Free bits (arXiv:1606.04934) clamp, for each image x and each latent variable z_i of the model, the
    estimate of E_q[KL(q(z_i | .) || p(z_i | .))] from all particles of x: the cost is max(lambda, mean over
    the particles). They are not shared by the images of a batch (per example as in BIVA, arXiv:1902.02102).
    An estimate by Monte Carlo (`kl`) is noisy, and the cost of a KL near lambda then exceeds
    max(lambda, KL) in expectation, the less the more particles there are. Auxiliary variables of the guide
    (of no prior, or hidden by `zoo.above`) have no free bits.

    Args:
        num_particles: samples of z an image.
        beta: factor of all KL terms (arXiv:1606.05579 has beta > 1).
        free_bits: lambda, nats that every latent variable costs at least, so that fewer gain nothing; 0 for
            the KL itself.
        warmup: steps over which the factor of the KL terms rises linearly to `beta` (arXiv:1602.02282).
        free_bits_steps: steps with free bits, after which the KL itself is paid; None for all steps.
        kl: how a latent's term is estimated, `analytic_where_unbiased` or `monte_carlo`.

    Raises:
        UsageError: if a number is out of range.
    """

    def __init__(
        self,
        num_particles: int = 1,
        beta: float = 1.0,
        free_bits: float = 0.0,
        *,
        warmup: int = 0,
        free_bits_steps: Natural | None = None,
        kl: Callable[[Site], Tensor] = analytic_where_unbiased,
    ) -> None:
        require_count("num_particles", num_particles)
        require(0 <= beta <= LARGEST, "beta >= 0, finite in float32", beta)
        require(0 <= free_bits <= LARGEST, "free_bits >= 0 nats, finite in float32", free_bits)
        require(warmup >= 0, "warmup >= 0 steps", warmup)
        require(free_bits_steps is None or free_bits_steps >= 0, "free_bits_steps >= 0", free_bits_steps)
        self.num_particles, self.beta, self.free_bits = num_particles, beta, free_bits
        self.warmup, self.free_bits_steps, self.kl = warmup, free_bits_steps, kl

    def beta_at(self, step: int) -> float:
        """The factor of all KL terms at `step`, 0 the first."""
        return self.beta * linear_warmup(step, self.warmup)

    def free_bits_at(self, step: int) -> float:
        """The free nats of every latent variable at `step`."""
        ended = self.free_bits_steps is not None and step >= self.free_bits_steps
        return 0.0 if ended else self.free_bits

    def __call__(self, model: Any, guide: Any) -> "ELBOLoss":
        """The loss of this pair."""
        return ELBOLoss(model, guide, self)


class ImportanceWeighted(Objective):
    """L_k(x) = E[log 1/k sum_i p(x, z_i) / q(z_i | x)], z_i ~ q (IWAE, arXiv:1509.00519).

    Args:
        k: importance samples an image, of which the average is taken inside the logarithm.

    Raises:
        UsageError: if k is smaller than 1.
    """

    def __init__(self, k: int = 50) -> None:
        require_count("k", k)
        self.k = k

    def __call__(self, model: Any, guide: Any) -> "ImportanceWeightedLoss":
        """The loss of this pair."""
        return ImportanceWeightedLoss(model, guide, self.k)


class Bound(nn.Module):
    """Minus a bound on log p(x), with the model and the guide as children.

    Attributes:
        stats: detached terms of the last step (`Terms.means`), on its device; reading one synchronises.
            ``elbo`` is the ELBO whatever is trained; another bound is called ``bound``.
    """

    def __init__(self, model: Any, guide: Any, *, k: int, kl: Callable[[Site], Tensor]) -> None:
        super().__init__()
        self.model, self.guide, self.k, self.kl = model, guide, k, kl
        self.stats: dict[str, Tensor] = {}

    def terms(self, x: Tensor) -> Terms:
        """Every site's term for the images x (B, C, H, W), each (k, B) in nats.

        Raises:
            ValueError: where a gradient is wanted through a posterior that is not reparameterised.
        """
        sites = list(Joint(self.model, self.guide, x).sample(self.k).values())
        if torch.is_grad_enabled():
            require_reparameterised(sites)
        return self.by_site(sites)

    def elbo(self, x: Tensor) -> Tensor:
        """The plain ELBO of the images x, (B,), in nats, whichever bound is trained; mean of k samples."""
        return self.terms(x).elbo().mean(0)

    def by_site(self, sites: Iterable[Site]) -> Terms:
        """The terms of a run of k samples an image, each (k, B)."""
        sites = list(sites)
        return Terms(
            {s.name: _by_sample(s.log_p(), self.k) for s in sites if s.observed},
            {s.name: _by_sample(self.kl(s), self.k) for s in sites if not s.observed},
            auxiliary(sites),
        )

    def schedule(self, step: int) -> None:
        """Set whatever changes in training to its value at `step`, 0 the first."""


class ELBOLoss(Bound):
    """Minus the ELBO, mean nats an image; see `ELBO`."""

    beta: Tensor
    free_bits: Tensor

    def __init__(self, model: Any, guide: Any, objective: ELBO) -> None:
        super().__init__(model, guide, k=objective.num_particles, kl=objective.kl)
        self.objective = objective
        self.register_buffer("beta", torch.ones(()), persistent=False)
        self.register_buffer("free_bits", torch.zeros(()), persistent=False)
        self.schedule(0)

    def schedule(self, step: int) -> None:
        """Set beta and the free bits to their values at `step`."""
        self.beta.fill_(self.objective.beta_at(step))
        self.free_bits.fill_(self.objective.free_bits_at(step))

    def forward(self, x: Tensor) -> Tensor:
        """Minus the bound; in training with beta and free bits."""
        terms = self.terms(x)
        self.stats = terms.means()
        return self.cost(terms).mean()

    def cost(self, terms: Terms) -> Tensor:
        """What is minimised, (k, B): minus the bound; in training with beta and free bits."""
        if not self.training:
            return -terms.elbo()
        charged = {name: kl if name in terms.whole else self.charged(kl) for name, kl in terms.kl.items()}
        return self.beta * total(charged) - total(terms.log_likelihood)

    def charged(self, kl: Tensor) -> Tensor:
        """What a latent with free bits costs, (k, B), all particles of an image alike."""
        if not self.objective.free_bits:
            return kl
        clamped = kl.mean(0).clamp(min=self.free_bits).expand_as(kl)
        return torch.where(self.free_bits > 0, clamped, kl)


class ImportanceWeightedLoss(Bound):
    """Minus the importance-weighted bound, mean nats an image; see `ImportanceWeighted`."""

    def __init__(self, model: Any, guide: Any, k: int) -> None:
        super().__init__(model, guide, k=k, kl=monte_carlo)

    def forward(self, x: Tensor) -> Tensor:
        """- log 1/k sum_i w_i, mean over the images."""
        terms = self.terms(x)
        self.stats = terms.means()
        bound = log_mean(terms.elbo())  # (B,)
        self.stats["bound"] = bound.detach().mean()
        return -bound.mean()


def log_mean(log_w: Tensor) -> Tensor:
    """Log 1/K sum_k w_k of log weights (K, B), (B,)."""
    return significant(log_w).logsumexp(0) - math.log(len(log_w))


def significant(log_w: Tensor) -> Tensor:
    """The log weights (K, B), -inf in place of those that are too small to change a sum of weights.

    So their gradient is exactly zero. Multiplied by their shares, exp(-90) say, what a backward pass carries
    becomes denormal floats, with which a processor takes more than twice as long.
    """
    return log_w.masked_fill(log_w < log_w.detach().amax(0) - NEGLIGIBLE, -math.inf)


def _by_sample(term: Tensor, k: int) -> Tensor:
    return rearrange(term, "(k b) -> k b", k=k)


def total(terms: dict[str, Tensor]) -> Any:
    """The sum of the terms of all sites, (k, B); 0 where there is no site."""
    return sum(terms.values())


def require_count(name: str, count: Any) -> None:
    """Check an objective's number of samples.

    Raises:
        UsageError: unless it is a whole number of at least 1; with the cure where it is a model.
    """
    if isinstance(count, Integral) and int(count) >= 1:
        return
    if callable(count):
        raise UsageError(
            f"expected {name} >= 1; got {type(count).__name__}, a program: an objective is made first and "
            "then called with the pair, zoo.ELBO()(model, guide)"
        )
    raise UsageError(f"expected {name} >= 1; got {count!r}")


def auxiliary(sites: Iterable[Site]) -> frozenset[str]:
    """The variables that only the guide has."""
    return frozenset(s.name for s in sites if s.prior is None)


def require_reparameterised(sites: Iterable[Site]) -> None:
    """Check that gradients through the posteriors are unbiased.

    Raises:
        UsageError: if one of them is not reparameterised.
    """
    for site in sites:
        if not site.observed and not site.posterior.has_rsample:
            raise UsageError(
                f"the posterior of {site.name!r}, {type(site.posterior).__name__}, is not "
                "reparameterised, so this gradient would be biased: sum over a label by zoo.SemiSupervised, "
                "or train with pyro.infer.Trace_ELBO, which has the term for it"
            )
