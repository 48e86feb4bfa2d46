"""Draws as functions of uniform noise: the same noise gives the same value, however it is computed.

    x = draw(p, u),   u uniform on [0, 1), of shape (*batch, U, *space)  =>  x ~ p

for distributions over (C, *space), an image (C, H, W) or a sequence (C, T), whose positions are independent.
U is ``uniforms(p)``. Every draw is finite, u = 0 included. A slice of p and u in space gives that slice of x.
"""

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from distributions.discretized_logistic_mixture import DiscretizedLogisticMixture, category
from distributions.noise import inside_unit_interval


@singledispatch
def draw(p: Any, u: Tensor) -> Tensor:
    """The value that p takes at the uniforms u; by default p's own method ``draw``.

    Raises:
        NotImplementedError: for a distribution that has none; `draw.register` one.
    """
    if not hasattr(p, "draw"):
        raise NotImplementedError(f"no draw from uniform noise is known for {type(p).__name__}: register one")
    return p.draw(u)


@draw.register
def _(p: torch.distributions.Independent, u: Tensor) -> Tensor:
    return draw(p.base_dist, u)


@draw.register
def _(p: torch.distributions.Bernoulli, u: Tensor) -> Tensor:
    return (u < p.probs).to(u.dtype)


@draw.register
def _(p: torch.distributions.Categorical, u: Tensor) -> Tensor:
    return category(p.probs, u).to(u.dtype)


@draw.register
def _(p: torch.distributions.Normal, u: Tensor) -> Tensor:
    return p.icdf(inside_unit_interval(u))


def uniforms(p: Any) -> int:
    """U: one uniform per channel; a mixture takes one more, for the component."""
    return int(p.event_shape[0]) + isinstance(p, DiscretizedLogisticMixture)
