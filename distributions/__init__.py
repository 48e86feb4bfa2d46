"""Distributions that deep generative models need and Pyro lacks, without learned parameters.

All are Pyro distributions; log probabilities and divergences are in nats. The import name is short
and Pyro's own module is often called ``dist``, so write

    import pyro.distributions as dist
    from distributions import ResidualNormal
"""

from distributions.autoregressive import Autoregressive
from distributions.continuous_bernoulli import ContinuousBernoulli
from distributions.discretized_logistic import DiscretizedLogistic
from distributions.discretized_logistic_mixture import DiscretizedLogisticMixture
from distributions.fused_bernoulli import FusedBernoulli
from distributions.grid import Grid
from distributions.grid_categorical import GridCategorical
from distributions.logistic import Logistic
from distributions.normal_mixture import NormalMixture
from distributions.precision_weighted_normal import PrecisionWeightedNormal
from distributions.residual_normal import ResidualNormal
from distributions.stationary_ar1 import StationaryAR1
from distributions.transformed import TransformedDistribution, rsample_and_log_prob

__all__ = [
    "Autoregressive",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "FusedBernoulli",
    "Grid",
    "GridCategorical",
    "Logistic",
    "NormalMixture",
    "PrecisionWeightedNormal",
    "ResidualNormal",
    "StationaryAR1",
    "TransformedDistribution",
    "rsample_and_log_prob",
]
