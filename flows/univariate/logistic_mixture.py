"""The map of Flow++ (Ho et al. 2019), arXiv:1902.00275: the logit of a mixture's CDF."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from flows.root_finding import solve_increasing


@dataclass(frozen=True)
class LogisticMixture:
    r"""y = exp(a) logit(F(x)) + b,  F(x) = sum_k pi_k sigmoid((x - mu_k) / s_k).

    log dy/dx = a + log F'(x) - log F(x) - log(1 - F(x)). Both logs of F are sums over components in the log
    domain, so nothing saturates: far out the map is affine. The inverse is a search (`flows.root_finding`)
    of some ten to sixty calls of the map, its gradient the implicit one.

    P = 3 K + 2 parameters: logits of pi, K means, K times log s, a, b. All zero, the components are
    one and the map is the identity.

    Attributes:
        components: K.
        bound: of |a| and of every |log s|, softly: bound tanh(./bound).

    Raises:
        ValueError: unless there is a component and the bound is positive.
    """

    components: int = 8
    bound: float = 2.0

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"a mixture needs at least 1 component; got components={self.components}")
        if not self.bound > 0:
            raise ValueError(f"expected a positive bound of the log scales; got bound={self.bound}")

    @property
    def size(self) -> int:
        """Number of parameters per element, 3 K + 2."""
        return 3 * self.components + 2

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Y and log dy/dx."""
        mixture, a, b = self._split(parameters)
        logit, log_slope = mixture(x)
        return a.exp() * logit + b, a + log_slope

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """X and log dx/dy."""
        mixture, a, b = self._split(parameters)
        x = mixture.inverse((y - b) * torch.exp(-a))
        return x, -a - mixture(x)[1]

    def _split(self, parameters: Tensor) -> tuple["_Mixture", Tensor, Tensor]:
        logits, means, log_scales = parameters[:-2].unflatten(0, (3, self.components))
        a, b = parameters[-2:]
        mixture = _Mixture(logits.log_softmax(0), self._apart(means), self._bounded(log_scales))
        return mixture, self._bounded(a), b

    def _bounded(self, log_scale: Tensor) -> Tensor:
        return self.bound * torch.tanh(log_scale / self.bound)

    def _apart(self, means: Tensor) -> Tensor:
        """Each times another gain: equal components have equal gradients, and would stay equal for ever."""
        k = torch.arange(self.components, dtype=means.dtype, device=means.device)
        gains = (2 * k + 1) / self.components
        return means * gains.reshape(-1, *[1] * (means.dim() - 1))


@dataclass
class _Mixture:
    r"""Of logistics; all attributes (K, \*shape)."""

    log_weights: Tensor
    means: Tensor
    log_scales: Tensor

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""Logit of the CDF and the log of its slope, (\*shape).

        slope = F'/F + F'/(1 - F) = sum_k [ r_k (1 - F_k) + q_k F_k ] / s_k,
        r_k = pi_k F_k / F,  q_k = pi_k (1 - F_k) / (1 - F): positive terms only.
        """
        z = (x - self.means) * torch.exp(-self.log_scales)
        log_f, log_one_minus_f = F.logsigmoid(z), F.logsigmoid(-z)
        below, above = self.log_weights + log_f, self.log_weights + log_one_minus_f
        log_slopes = torch.cat(
            [
                below.log_softmax(0) + log_one_minus_f - self.log_scales,
                above.log_softmax(0) + log_f - self.log_scales,
            ]
        )
        return below.logsumexp(0) - above.logsumexp(0), log_slopes.logsumexp(0)

    def inverse(self, logit: Tensor) -> Tensor:
        """X: between the components' own answers."""
        each = self.means + self.log_scales.exp() * logit
        return solve_increasing(self, logit, each.amin(0), each.amax(0))
