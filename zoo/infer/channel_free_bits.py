"""Free bits by channel and minibatch (Kingma et al. 2016), arXiv:1606.04934, appendix C.8.

    loss = - E_q[log p(x | z)] + beta sum_i sum_c max(lambda, E_batch KL_ic)

KL_ic is that of channel c of latent i, summed over its pixels. A channel that costs less than lambda on
average over the batch has no gradient from its KL. (`zoo.ELBO`'s free bits are of a whole latent and of every
image by itself, as BIVA's.) The reported ELBO has no free bits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from distributions import TransformedDistribution
from distributions.base_normal import base_normal
from distributions.transformed import ScoredDraw
from flows import Composed
from zoo.infer.handlers import Draws, Site
from zoo.infer.joint import Joint
from zoo.infer.objectives import ELBO, ELBOLoss, Terms, require_reparameterised, total


class ChannelFreeBits(ELBO):
    """The ELBO with free bits by channel; see the module's docstring.

    For latents that are feature maps or vectors, with normal priors, and posteriors that are normals or
    autoregressive flows of them.

    Args:
        num_particles: samples of z an image.
        beta: factor of all KL terms.
        free_bits: nats lambda that each channel may cost at no charge, on average over the batch.
        warmup: steps over which the factor of the KL terms rises linearly to `beta`.
        free_bits_steps: steps with free bits; None for all steps.
        kl: how a latent's term is estimated.

    Raises:
        UsageError: if a number is out of range.
    """

    def __call__(self, model: Any, guide: Any) -> "ChannelFreeBitsLoss":
        """The loss of this pair."""
        return ChannelFreeBitsLoss(model, guide, self)


@dataclass
class ChannelTerms(Terms):
    """The terms of a bound, and in training those of every channel.

    Attributes:
        channels: E_batch KL of every channel, (C,), by site.
    """

    channels: dict[str, Tensor] = field(default_factory=dict)


class ChannelFreeBitsLoss(ELBOLoss):
    """Minus the ELBO, in training with free bits by channel; see `ChannelFreeBits`."""

    def terms(self, x: Tensor) -> Terms:
        """Every site's term (k, B), and in training every channel's.

        Raises:
            ValueError: where a gradient is wanted through a posterior that is not reparameterised.
        """
        if not (self.training and self.objective.free_bits):
            return super().terms(x)
        draws = ElementDraws()
        sites = list(Joint(self.model, self.guide, x).sample(self.k, draws).values())
        if torch.is_grad_enabled():
            require_reparameterised(sites)
        plain = self.by_site(sites)
        paying = [s for s in sites if s.name not in plain.whole]
        return ChannelTerms(
            plain.log_likelihood, plain.kl, plain.whole, channels=channel_means(paying, draws.log_q)
        )

    def cost(self, terms: Terms) -> Tensor:
        """What is minimised, (k, B)."""
        if not isinstance(terms, ChannelTerms):
            return super().cost(terms)
        kl: Any = sum(self.paid(channels).sum() for channels in terms.channels.values())
        kl = kl + sum(terms.kl[name] for name in terms.whole)
        return self.beta * kl - total(terms.log_likelihood)

    def paid(self, channels: Tensor) -> Tensor:
        """max(lambda, KL) of every channel (C,); the KL itself where no bits are free."""
        return torch.where(self.free_bits > 0, channels.clamp(min=self.free_bits), channels)


class ElementDraws(Draws):
    """Draws every latent, and keeps log q of each element of those that are flows of normals.

    Attributes:
        log_q: (N, *event) by site.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_q: dict[str, Tensor] = {}

    def draw(self, msg: Any) -> None:
        """Set the message's value and its log density."""
        if not isinstance(msg["fn"], TransformedDistribution):
            return super().draw(msg)
        value, log_q = element_log_prob(msg["fn"])
        self.log_q[msg["name"]] = log_q
        drawn = ScoredDraw(value, lambda: log_q.flatten(1).sum(1))
        msg["value"], msg["drawn"] = value, drawn
        return None


def element_log_prob(posterior: TransformedDistribution) -> tuple[Tensor, Tensor]:
    """A draw z of autoregressive flows of a normal, and the terms of log q(z), both (N, *event)."""
    z = posterior.base_dist.rsample()
    log_q = base_normal(posterior.base_dist).log_prob(z)
    for flow, context in _steps(posterior.transforms):
        z, slopes = flow.call_and_log_slopes(z, context)
        log_q = log_q - slopes
    return z, log_q


def _steps(transforms: Iterable[Any]) -> Iterator[tuple[Any, Tensor | None]]:
    """Every flow with its context, those of a composition one by one."""
    for transform in transforms:
        flow, context = getattr(transform, "flow", transform), getattr(transform, "context", None)
        for step in flow.flows if isinstance(flow, Composed) else [flow]:
            yield step, None if step.context_shape is None else context


def channel_means(sites: Iterable[Site], log_q: dict[str, Tensor]) -> dict[str, Tensor]:
    """E_batch KL of every channel, (C,), of every latent."""
    latents = [s for s in sites if not s.observed]
    return {s.name: _by_channel(_elements(s, log_q.get(s.name))) for s in latents}


def _elements(site: Site, log_q: Tensor | None) -> Tensor:
    """The terms of KL(q || p), (N, *event)."""
    prior = base_normal(site.prior)
    if log_q is None:
        return kl_divergence(base_normal(site.posterior), prior)
    return log_q - prior.log_prob(site.value)


def _by_channel(terms: Tensor) -> Tensor:
    return terms.mean(0).flatten(1).sum(1) if terms.dim() > 2 else terms.mean(0)
