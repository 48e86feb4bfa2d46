"""Statistics of importance weights, from a stream of chunks.

Pareto smoothed importance sampling (PSIS; Vehtari, Simpson, Gelman, Yao & Gabry 2015), arXiv:1507.02646: the
M largest of K weights are replaced by quantiles of a generalised Pareto distribution fitted to them, none
larger than the largest weight. The mean of the weights then varies less, at the price of a small bias.
"""

import math

import torch
from torch import Tensor


class WeightStatistics:
    """Running statistics of K log weights for each of B images, in float64.

    Kept are log sum w, log sum w^2, sum log w and the M + 1 largest weights: O(B sqrt(K)) numbers.

    Args:
        k: how many weights there will be.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.tail_length = min(k // 5, math.ceil(3 * math.sqrt(k)))  # as in PSIS, arXiv:1507.02646
        self.log_sum = torch.tensor(-math.inf, dtype=torch.float64)  # broadcast to (B,) by the first chunk
        self.log_sum_squares = self.log_sum
        self.sum_log = torch.zeros((), dtype=torch.float64)
        self.largest = torch.empty(0, 1, dtype=torch.float64)

    def update(self, log_w: Tensor) -> None:
        """Take in a chunk of log weights, (c, B)."""
        log_w = log_w.double()
        self.log_sum = torch.logaddexp(self.log_sum.to(log_w), log_w.logsumexp(0))
        self.log_sum_squares = torch.logaddexp(self.log_sum_squares.to(log_w), (2 * log_w).logsumexp(0))
        self.sum_log = self.sum_log.to(log_w) + log_w.sum(0)
        candidates = torch.cat([self.largest.to(log_w).expand(-1, log_w.shape[1]), log_w])
        self.largest = candidates.topk(min(self.tail_length + 1, len(candidates)), dim=0).values

    def merge(self, other: "WeightStatistics") -> None:
        """Take in other weights of the same images, in any order."""
        self.log_sum = torch.logaddexp(self.log_sum, other.log_sum)
        self.log_sum_squares = torch.logaddexp(self.log_sum_squares, other.log_sum_squares)
        self.sum_log = self.sum_log + other.sum_log
        candidates = torch.cat([self.largest, other.largest])
        self.largest = candidates.topk(min(self.tail_length + 1, len(candidates)), dim=0).values

    def results(self) -> dict[str, Tensor]:
        """The fields of a `zoo.LogLikelihood`, each (B,)."""
        # (sum w)^2 / sum w^2; equal weights may round to a little more than K; 0 where all weights are
        ess = torch.exp(2 * self.log_sum - self.log_sum_squares).clamp(1.0, self.k)
        ess = torch.where(self.log_sum == -math.inf, 0.0, ess)
        return {
            "log_likelihood": self.log_sum - math.log(self.k),
            "elbo": self.sum_log / self.k,
            "sampling_stderr": (1 / ess - 1 / self.k).clamp(min=0).sqrt(),
            "ess": ess,
            **self._of_tail(),
        }

    def _of_tail(self) -> dict[str, Tensor]:
        """The fields that come from a generalised Pareto distribution fitted to the M largest weights, (B,).

        The shape is NaN where fewer than five weights are in the tail, 0 where they are all equal, infinity
        where they are all 0: as for a tail too heavy for any estimate. There nothing is smoothed.
        """
        raw = self.log_sum - math.log(self.k)
        if self.tail_length < 5:
            return {"pareto_k": torch.full_like(raw, math.nan), "smoothed": raw}
        w = torch.exp(self.largest - self.largest[0])  # descending, the largest is 1
        excess = (w[:-1] - w[-1]).flip(0)  # ascending, (M, B)
        spread = excess[-1] > 1e-12
        k, sigma = fit_generalized_pareto(torch.where(spread, excess, _ramp(excess)))
        smooth = torch.minimum(generalized_pareto_quantiles(k, sigma, len(excess)), excess[-1])
        total = torch.exp(self.log_sum - self.largest[0])  # of all weights, at this scale
        smoothed = raw + torch.log1p((smooth - excess).sum(0) / total)
        k = torch.where(spread, k, torch.zeros_like(k))
        return {
            "pareto_k": torch.where(self.largest[0] == -math.inf, math.inf, k),
            "smoothed": torch.where(spread, smoothed, raw),
        }


def generalized_pareto_quantiles(k: Tensor, sigma: Tensor, m: int) -> Tensor:
    """The values that PSIS puts in the place of the M largest excesses, in ascending order, (M, B).

        F^-1((i - 1/2) / M) = sigma / k ((1 - (i - 1/2) / M)^-k - 1),    i = 1 ... M

    Args:
        k: shape, (B,); 0 is an exponential distribution.
        sigma: scale, (B,).
        m: M.
    """
    i = torch.arange(1, m + 1, dtype=k.dtype, device=k.device).unsqueeze(1)
    exponential = -torch.log1p(-(i - 0.5) / m)
    tiny = k.abs() < 1e-12
    powers = torch.expm1(k * exponential) / torch.where(tiny, 1.0, k)
    return sigma * torch.where(tiny, exponential, powers)


def fit_generalized_pareto(x: Tensor) -> tuple[Tensor, Tensor]:
    """Shape k and scale sigma of generalised Pareto samples (Zhang & Stephens 2009), with PSIS's weak prior.

    The profile likelihood in b = -k / sigma is averaged over a grid of b, as a posterior mean; the shape is
    then drawn to 1/2 with the weight of ten observations (arXiv:1507.02646, appendix C).

    Args:
        x: excesses over the threshold in ascending order, (M, ...).

    Returns:
        k and sigma, (...) each; sigma is that of the shape before the prior, as in the published code.
    """
    m = len(x)
    grid = 30 + int(math.sqrt(m))
    i = torch.arange(1, grid + 1, dtype=x.dtype, device=x.device).view(-1, *[1] * (x.dim() - 1))
    quartile = x[int(m / 4 + 0.5) - 1].clamp(min=torch.finfo(x.dtype).tiny)
    b = 1 / x[-1] + (1 - torch.sqrt(grid / (i - 0.5))) / (3 * quartile)  # (grid, ...)
    k = torch.log1p(-b.unsqueeze(1) * x).mean(1)
    log_profile = m * (torch.log(-b / k) - k - 1)
    posterior = torch.softmax(log_profile, dim=0)
    b = (posterior * b).sum(0)
    k = torch.log1p(-b * x).mean(0)
    return (m * k + 10 * 0.5) / (m + 10), -k / b


def _ramp(like: Tensor) -> Tensor:
    """Any sample that can be fitted, for images whose own cannot be."""
    ramp = torch.linspace(0.1, 1, len(like), dtype=like.dtype, device=like.device)
    return ramp.unsqueeze(1).expand_as(like)
