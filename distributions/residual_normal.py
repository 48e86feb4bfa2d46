"""Residual normal (NVAE, arXiv:2007.03898, section 3.2): q written as an offset from its prior."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, register_kl
from torch.distributions.utils import broadcast_all

from distributions.base_normal import base_normal


class ResidualNormal(dist.Normal):
    """N(μ + Δμ, (σ exp(Δlog σ))²) for a reference N(μ, σ²).

    If the reference is the prior p(z) and this is q(z | x), then in nats an element

        KL(q || p) = 1/2 (Δμ² / σ² + exp(2 Δlog σ) - 2 Δlog σ - 1),

    which does not depend on μ: when the prior moves, q moves along. ``kl_divergence`` uses this
    form. The paper's relative scale Δσ is exp(Δlog σ); zero offsets give the reference.

    Args:
        reference: a ``Normal``, or an ``Independent`` one, whose base is then used: wrap the result
            in ``.to_event(n)`` again. The base is kept as the attribute ``reference``.
        delta_loc: Δμ, in the units of μ (not of σ); broadcasts with the reference's parameters.
        delta_log_scale: Δlog σ, likewise.

    Shapes:
        batch: the reference's (event dimensions included) broadcast with the offsets; event: ().

    Raises:
        TypeError: if the reference is no normal.

    >>> prior = dist.Normal(torch.full((2,), 3.0), torch.ones(2)).to_event(1)
    >>> q = ResidualNormal(prior, torch.tensor([0.0, 1.0]), torch.zeros(2)).to_event(1)
    >>> q.mean
    tensor([3., 4.])
    >>> torch.distributions.kl_divergence(q, prior)
    tensor(0.5000)
    """

    def __init__(
        self,
        reference: Distribution,
        delta_loc: Tensor | float,
        delta_log_scale: Tensor | float,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.reference = base_normal(reference)
        loc, scale, self.delta_loc, self.delta_log_scale = broadcast_all(
            self.reference.loc, self.reference.scale, delta_loc, delta_log_scale
        )
        super().__init__(
            loc + self.delta_loc, scale * self.delta_log_scale.exp(), validate_args=validate_args
        )

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> "ResidualNormal":
        """The same distribution on a larger batch; ``reference`` stays the very same object."""
        new = self._get_checked_instance(ResidualNormal, _instance)
        new.reference = self.reference
        new.delta_loc = self.delta_loc.expand(batch_shape)
        new.delta_log_scale = self.delta_log_scale.expand(batch_shape)
        return super().expand(batch_shape, _instance=new)


@register_kl(ResidualNormal, Normal)
def _kl_residual_normal(q: ResidualNormal, p: Normal) -> Tensor:
    """1/2 (δ² / σ_p² + exp(2d) - 2d - 1) for offsets δ of q's mean, d of its log scale from p's."""
    delta, d = _offsets_from(q, p)
    return 0.5 * ((delta / p.scale) ** 2 + torch.expm1(2 * d) - 2 * d)


def _offsets_from(q: ResidualNormal, p: Normal) -> tuple[Tensor, Tensor]:
    """Offsets of q from p: its own if p is the reference, else plus those of the reference from p.

    A plate hands over an expanded copy of the prior; for it the added terms are zeros, exactly.
    """
    if p is q.reference:
        return q.delta_loc, q.delta_log_scale
    return (
        q.reference.loc - p.loc + q.delta_loc,
        (q.reference.scale / p.scale).log() + q.delta_log_scale,
    )
