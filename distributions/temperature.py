"""Distributions at a temperature: below 1 more typical and less varied, at 1 as they are."""

from functools import singledispatch
from typing import Any

import pyro.distributions as dist
import torch

from distributions.logistic import Logistic
from distributions.transformed import TransformedDistribution


@singledispatch
def at_temperature(distribution: Any, temperature: float) -> Any:
    """The distribution at a temperature t: scales times t, logits over t.

    Raises:
        NotImplementedError: for a distribution that has no method ``with_temperature``.
    """
    if hasattr(distribution, "with_temperature"):
        return distribution.with_temperature(temperature)
    raise NotImplementedError(f"{type(distribution).__name__} has no temperature: at_temperature.register it")


@at_temperature.register
def _(distribution: torch.distributions.Independent, temperature: float) -> Any:
    base = at_temperature(distribution.base_dist, temperature)
    return dist.Independent(base, distribution.reinterpreted_batch_ndims)


@at_temperature.register
def _(distribution: torch.distributions.Bernoulli, temperature: float) -> Any:
    return dist.Bernoulli(logits=distribution.logits / temperature)


@at_temperature.register
def _(distribution: torch.distributions.Categorical, temperature: float) -> Any:
    return dist.Categorical(logits=distribution.logits / temperature)


@at_temperature.register
def _(distribution: torch.distributions.Normal, temperature: float) -> Any:
    return dist.Normal(distribution.loc, distribution.scale * temperature)


@at_temperature.register
def _(distribution: dist.Logistic, temperature: float) -> Any:
    return Logistic(distribution.loc, distribution.scale * temperature)


@at_temperature.register
def _(distribution: torch.distributions.TransformedDistribution, temperature: float) -> Any:
    base = at_temperature(distribution.base_dist, temperature)
    return TransformedDistribution(base, distribution.transforms)
