"""Named distributions, each on the parameters it is built from, for the laws in test_laws.py.

A new distribution joins by one entry: shapes of unconstrained parameters and a constructor, which
takes ``validate_args`` and scales parameters by powers of two alone, which no precision rounds, if
it is discrete. The batch is (2,).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from distributions import (
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    GridCategorical,
    Logistic,
    NormalMixture,
    PrecisionWeightedNormal,
    ResidualNormal,
)

IMAGE = (4, 3, 5)  # C, H and W differ, so that a swap shows


@dataclass(frozen=True)
class Case:
    shapes: tuple[tuple[int, ...], ...]
    build: Callable[..., Any]

    def parameters(self, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        return [torch.randn(s, generator=generator, dtype=dtype) for s in self.shapes]

    def __call__(self, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
        return self.build(*self.parameters(dtype), **options)


def residual_normal(loc, log_scale, delta_loc, delta_log_scale, **options):
    reference = dist.Normal(loc, log_scale.exp(), **options)
    return ResidualNormal(reference, delta_loc, delta_log_scale, **options)


def precision_weighted_normal(loc1, log_scale1, loc2, log_scale2, **options):
    first = dist.Normal(loc1, log_scale1.exp(), **options)
    second = dist.Normal(loc2, log_scale2.exp(), **options)
    return PrecisionWeightedNormal(first, second, **options)


def normal_mixture(logits, loc, log_scale, **options):
    return NormalMixture(logits, loc, log_scale.exp(), **options)


def continuous_bernoulli(logits, **options):
    return ContinuousBernoulli(logits=logits, **options)


def discretized_logistic(loc, log_scale, **options):
    return DiscretizedLogistic(loc, 2 * log_scale, **options)


def independent_discretized_logistic(loc, log_scale, **options):
    base = DiscretizedLogistic(loc, 2 * log_scale, levels=32, **options)
    return dist.Independent(base, 3, **options)


def mixture(*parameters, **options):
    logits, loc, log_scale, *coefficients = parameters
    rho = coefficients[0] / 4 if coefficients else None
    return DiscretizedLogisticMixture(logits, loc, 2 * log_scale, rho, **options)


def clamped_mixture(logits, loc, log_scale, **options):
    return mixture(logits, loc, 4 * log_scale, levels=32, min_log_scale=-7.0, **options)


CONTINUOUS = {
    "continuous_bernoulli": Case(
        ((2,),), lambda logits, **options: ContinuousBernoulli(logits=logits, **options)
    ),
    "logistic": Case(((2,),) * 2, lambda loc, scale, **options: Logistic(loc, scale.exp(), **options)),
    "residual_normal": Case(((2,),) * 4, residual_normal),
    "normal_mixture": Case(((2, 3), (2, 3, 4), (2, 3, 4)), normal_mixture),
    "normal_mixture_of_maps": Case(((2, 3), (2, 3, 2, 2, 1), (2, 3, 2, 2, 1)), normal_mixture),
    "precision_weighted_normal": Case(((2,),) * 4, precision_weighted_normal),
}
DISCRETE = {
    "discretized_logistic": Case(((2,), (2,)), discretized_logistic),
    "independent_discretized_logistic": Case(((2, *IMAGE), (2, *IMAGE)), independent_discretized_logistic),
    "grid_categorical": Case(((2, 7),), GridCategorical),
    "independent_grid_categorical": Case(
        ((2, *IMAGE, 5),),
        lambda logits, **options: dist.Independent(GridCategorical(logits, **options), 3, **options),
    ),
    "grey_mixture": Case(((2, 6, 3, 5), (2, 6, 1, 3, 5), (2, 6, 1, 3, 5)), mixture),
    "rgb_mixture": Case(((2, 6, 3, 5), (2, 6, 3, 3, 5), (2, 6, 3, 3, 5), (2, 6, 3, 3, 5)), mixture),
    "rgb_mixture_uncoupled": Case(((2, 6, 3, 5), (2, 6, 3, 3, 5), (2, 6, 3, 3, 5)), mixture),
    "four_channel_mixture": Case(((2, 2, 3, 5), (2, 2, 4, 3, 5), (2, 2, 4, 3, 5), (2, 2, 6, 3, 5)), mixture),
    "clamped_mixture": Case(((2, 6, 3, 5), (2, 6, 1, 3, 5), (2, 6, 1, 3, 5)), clamped_mixture),
}
CATALOGUE = CONTINUOUS | DISCRETE
