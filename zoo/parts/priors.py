"""Priors: modules that, called with nothing, return a Pyro distribution over z, batch shape ()."""

from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from torch import nn


class Standard(nn.Module):
    """A family at location 0 and scale 1, in every dimension of the latent.

    Args:
        family: of location and scale.
        latent: D for a vector, or the shape of a feature map (D, H, W).
    """

    loc: torch.Tensor
    scale: torch.Tensor

    def __init__(self, family: Any, latent: int | Sequence[int]) -> None:
        super().__init__()
        shape = _event_shape(latent)
        self.family = family
        self.register_buffer("loc", torch.zeros(shape), persistent=False)
        self.register_buffer("scale", torch.ones(shape), persistent=False)

    def forward(self) -> Any:
        """p(z), event shape `latent`."""
        return self.family(self.loc, self.scale).to_event(self.loc.dim())


class StandardNormal(Standard):
    """p(z) = N(0, I).

    Args:
        latent: D for a vector, or the shape of a feature map (D, H, W).
    """

    def __init__(self, latent: int | Sequence[int]) -> None:
        super().__init__(dist.Normal, latent)


class StandardLogistic(Standard):
    """p(z) = prod_i Logistic(z_i; 0, 1), the law of the logit of a uniform variable (NICE, arXiv:1410.8516).

    Args:
        latent: D for a vector, or the shape of a feature map (D, H, W).
    """

    def __init__(self, latent: int | Sequence[int]) -> None:
        super().__init__(dist.Logistic, latent)


class LearnedNormal(nn.Module):
    """p(z) = N(loc, diag(exp(log_scale)^2)) with learned loc and log_scale, at first N(0, I).

    Args:
        latent: D for a vector, or the shape of a feature map (D, H, W).
    """

    def __init__(self, latent: int | Sequence[int]) -> None:
        super().__init__()
        shape = _event_shape(latent)
        self.loc = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def forward(self) -> Any:
        """p(z), event shape `latent`."""
        return dist.Normal(self.loc, self.log_scale.exp()).to_event(self.loc.dim())


def _event_shape(latent: int | Sequence[int]) -> tuple[int, ...]:
    shape = (latent,) if isinstance(latent, int) else tuple(latent)
    if not shape or any(size < 1 for size in shape):
        raise ValueError(f"expected a latent of positive size, D or (D, H, W); got {latent}")
    return shape
