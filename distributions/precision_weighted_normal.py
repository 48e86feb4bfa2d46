"""Precision-weighted normal (Ladder VAE, arXiv:1602.02282): a product of two normals."""

from typing import Any

import pyro.distributions as dist
import torch
from torch.distributions import Distribution

from distributions.base_normal import base_normal


class PrecisionWeightedNormal(dist.Normal):
    """The normalised product of two normals: p(z) ∝ N(z; μ₁, σ₁²) N(z; μ₂, σ₂²).

        1/σ² = 1/σ₁² + 1/σ₂²,    μ = σ² (μ₁/σ₁² + μ₂/σ₂²).

    In the Ladder VAE: the bottom-up estimate from the image and the top-down prior.

    Args:
        first: N(μ₁, σ₁²), a ``Normal`` or an ``Independent`` one, whose base is then used: wrap the
            result in ``.to_event(n)`` again.
        second: N(μ₂, σ₂²), likewise.

    Shapes:
        batch: the two batches (event dimensions included) broadcast; event: ().

    Raises:
        TypeError: if one of them is no normal.

    >>> bottom_up, top_down = dist.Normal(1.0, 1.0), dist.Normal(0.0, 1.0)
    >>> merged = PrecisionWeightedNormal(bottom_up, top_down)
    >>> merged.mean, merged.variance
    (tensor(0.5000), tensor(0.5000))
    """

    def __init__(
        self, first: Distribution, second: Distribution, *, validate_args: bool | None = None
    ) -> None:
        first, second = base_normal(first), base_normal(second)
        # In units of r = sqrt(σ₁² + σ₂²) no square overflows; larger / r is about 1, so that the
        # product with the smaller scale does not underflow either.
        r = torch.hypot(first.scale, second.scale)
        loc = first.loc * (second.scale / r) ** 2 + second.loc * (first.scale / r) ** 2
        smaller = torch.minimum(first.scale, second.scale)
        larger = torch.maximum(first.scale, second.scale)
        super().__init__(loc, smaller * (larger / r), validate_args=validate_args)

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> "PrecisionWeightedNormal":
        """The same distribution on a larger batch."""
        new = self._get_checked_instance(PrecisionWeightedNormal, _instance)
        return super().expand(batch_shape, _instance=new)
