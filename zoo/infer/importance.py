"""The marginal likelihood by importance sampling, with the diagnostics of the estimate.

    log p(x) ~ L_K(x) = log 1/K sum_i w_i,   w_i = p(x, z_i) / q(z_i | x),   z_i ~ q     (arXiv:1509.00519)

L_K is a lower bound in expectation and rises to log p(x) with K. Samples come in chunks, so that memory does
not depend on K; every sample has a noise stream of its own, so that chunks do not change the answer; what
of the guide depends only on x is computed once an image.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.errors import NonFiniteError, UsageError
from zoo.infer.joint import Joint
from zoo.infer.noise import NotByRowError, SampleStreams
from zoo.infer.programs import evaluating
from zoo.infer.sharing import shared
from zoo.infer.weight_statistics import WeightStatistics
from zoo.ranks import gathered, world_size
from zoo.seeds import mixed_seed
from zoo.settings import require_at_least_one

ROWS_AT_ONCE = 1000  # images times samples in one pass at most, where the caller does not say
PIXELS_AT_ONCE = 2**17  # of all these rows on a CPU: larger features than theirs do not stay in its cache


def log_weights(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    k: int,
    *,
    chunk: int | None = None,
    seed: int | None = None,
) -> Tensor:
    """Log w_i(x_b) = log p(x_b, z_ib) - log q(z_ib | x_b), (k, B) in float64, in nats.

    Modules are in evaluation mode during the call.

    Args:
        model: a Pyro program; ``model(x)`` observes the images.
        guide: a `zoo.Guide` or any Pyro program; ``guide(x)`` samples the model's latents.
        x: images (B, ...).
        k: samples an image.
        chunk: samples an image in one pass of model and guide; changes memory and speed only. One sample at a
            time where the noise cannot be drawn by rows (`zoo.infer.noise`).
        seed: of the noise; drawn from PyTorch's generator by default.

    Raises:
        UsageError: if x is no tensor of images, or k or chunk is smaller than 1.
        NonFiniteError: if a weight is not a number or infinite.
    """
    return torch.cat(list(weight_chunks(model, guide, x, k, chunk=chunk, seed=seed)))


@torch.no_grad()
def weight_chunks(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    k: int,
    *,
    chunk: int | None = None,
    seed: int | None = None,
    samples: range | None = None,
) -> Iterator[Tensor]:
    """The rows of `log_weights`, chunk by chunk; only those of `samples`, some of range(k), if given."""
    require_tensor(x)
    require_at_least_one(k=k, chunk=chunk)
    samples = range(k) if samples is None else samples
    step = min(k, chunk or max(1, rows_at_once(x) // max(1, len(x))))
    seed = _fresh_seed() if seed is None else seed
    with evaluating(model, guide):
        joint = Joint(model, guide, x)
        for start in range(samples.start, samples.stop, step):
            stop = min(start + step, samples.stop)
            yield _checked(_log_weights(joint, seed, start, stop))


def rows_at_once(x: Tensor) -> int:
    """Images times samples of one pass: on a CPU, fewer of larger images (a quarter less time on MNIST)."""
    if x.device.type != "cpu" or not x.numel():
        return ROWS_AT_ONCE
    return min(ROWS_AT_ONCE, PIXELS_AT_ONCE // x[0].numel())


@dataclass(frozen=True)
class LogLikelihood:
    """An estimate of log p(x) for N images; tensors are (N,), in nats an image.

    Attributes:
        log_likelihood: L_K.
        elbo: the mean of the K log weights, L_1.
        sampling_stderr: standard error of L_K from the K samples (delta method).
        ess: effective sample size (sum w)^2 / sum w^2, between 1 and K; 0 where every weight is 0, as then
            are L_K = -inf, an infinite standard error and an infinite Pareto k.
        pareto_k: shape of the largest weights' tail; above 0.7 the standard errors mean little and L_K is
            a lower bound that more samples would raise (PSIS, arXiv:1507.02646). NaN for K < 25.
        smoothed: the estimate with Pareto smoothed weights: of less variance, but biased, and no bound of
            log p(x) from either side. L_K itself where there is no Pareto k.
        samples: K.
        dimensions: of one image.
        exact: whether the model has no latent variable, so that L_1 is log p(x).
    """

    log_likelihood: Tensor
    elbo: Tensor
    sampling_stderr: Tensor
    ess: Tensor
    pareto_k: Tensor
    smoothed: Tensor
    samples: int
    dimensions: int
    exact: bool = False

    @property
    def mean(self) -> float:
        """Mean of L_K over the images."""
        return self.log_likelihood.mean().item()

    @property
    def stderr(self) -> float:
        """Standard error of `mean` over the images, sd / sqrt(N): as if other images had been drawn.

        NaN for one image.
        """
        return stderr(self.log_likelihood)

    @property
    def stderr_over_samples(self) -> float:
        """Standard error of `mean` from sampling only: as if other z had been drawn for these images."""
        return self.sampling_stderr.square().sum().sqrt().item() / len(self.sampling_stderr)

    @property
    def bits_per_dim(self) -> float:
        """-mean / (dimensions log 2)."""
        return -self.mean / (self.dimensions * math.log(2))

    @property
    def bits_per_dim_stderr(self) -> float:
        """`stderr` in bits a dimension."""
        return self.stderr / (self.dimensions * math.log(2))

    def summary(self) -> dict[str, float | int | None]:
        """The numbers for a table, means over the images; None where there is no Pareto k.

        The standard errors over the images are NaN for one image.
        """
        k_hat = self.pareto_k[~self.pareto_k.isnan()]
        finite = k_hat[k_hat.isfinite()]
        return {
            "elbo": self.elbo.mean().item(),
            "elbo_stderr": stderr(self.elbo),
            "log_likelihood": self.mean,
            "log_likelihood_stderr": self.stderr,
            "log_likelihood_stderr_over_samples": self.stderr_over_samples,
            "smoothed": self.smoothed.mean().item(),
            "smoothed_stderr": stderr(self.smoothed),
            "bits_per_dim": self.bits_per_dim,
            "bits_per_dim_stderr": self.bits_per_dim_stderr,
            "exact": self.exact,
            "samples": self.samples,
            "images": len(self.log_likelihood),
            "ess": self.ess.mean().item(),
            "pareto_k": finite.mean().item() if len(finite) else None,
            "pareto_k_above_0.7": (k_hat > 0.7).double().mean().item() if len(k_hat) else None,
        }


def log_likelihood(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    x: Tensor,
    k: int,
    *,
    chunk: int | None = None,
    batch_size: int = 100,
    seed: int | None = None,
    progress: Callable[[int], None] | None = None,
    distributed: bool = False,
) -> LogLikelihood:
    """Estimate log p(x) of every image by importance sampling; memory does not depend on k.

    A model without latent variables needs one pass: its log p(x) is exact.

    Args:
        model: see `log_weights`, as for guide, k, chunk and seed.
        guide: see there.
        x: images (N, ...), N >= 1.
        k: samples an image.
        chunk: samples an image at a time.
        seed: of the noise.
        batch_size: images at a time.
        progress: called with the number of images done after each batch.
        distributed: whether all processes of `torch.distributed` call this, with equal arguments. Each draws
            its share of the samples; all return the whole, equal to one process's up to rounding.

    Raises:
        UsageError: if x is no tensor of images, or k, chunk or batch_size is smaller than 1.
        NonFiniteError: if a weight is not a number or infinite.
    """
    require_tensor(x)
    require_at_least_one(k=k, chunk=chunk, batch_size=batch_size, images=len(x))
    seed = _seed_of_all(seed, distributed)
    exact = not _has_latents(model, guide, x[:batch_size])
    if exact:  # one pass and no noise: shared by images
        k, batch_size = 1, min(batch_size, math.ceil(len(x) / world_size())) if distributed else batch_size
    batches = x.split(batch_size)

    def statistics(j: int, samples: range) -> WeightStatistics | dict[str, Tensor]:
        found = WeightStatistics(k)
        own = mixed_seed(seed, j)
        for weights in weight_chunks(model, guide, batches[j], k, chunk=chunk, seed=own, samples=samples):
            found.update(weights.cpu())
        return found.results() if len(samples) == k else found

    sizes = [len(images) for images in batches]
    parts = shared(statistics, sizes, k, distributed=distributed, progress=progress)
    results = list(map(_joined, parts))
    fields = {name: torch.cat([result[name] for result in results]).to(x.device) for name in results[0]}
    return LogLikelihood(**fields, samples=k, dimensions=x[0].numel(), exact=exact)


def stderr(values: Tensor) -> float:
    """Standard error of a mean of independent values, sd / sqrt(N); NaN for one value."""
    return (values.std() / math.sqrt(len(values))).item() if len(values) > 1 else math.nan


@torch.no_grad()
def _has_latents(model: Any, guide: Any, x: Tensor) -> bool:
    with evaluating(model, guide):
        sites = Joint(model, guide, x).sample(1, SampleStreams(0, 0, 1, x.device))
    return any(not site.observed for site in sites.values())


def _log_weights(joint: Joint, seed: int, start: int, stop: int) -> Tensor:
    """The log weights of samples `start` to `stop`, in one pass where their noise can be drawn in one."""
    try:
        sites = joint.sample(stop - start, SampleStreams(seed, start, stop, joint.x.device))
    except NotByRowError:
        return torch.cat([_log_weights(joint, seed, i, i + 1) for i in range(start, stop)])
    return _log_weight(sites, stop - start)


def _log_weight(sites: dict[str, Any], k: int) -> Tensor:
    terms = [
        site.log_p().double() if site.observed else site.log_p().double() - site.log_q().double()
        for site in sites.values()
    ]
    return torch.stack(terms).sum(0).view(k, -1)


def _checked(weights: Tensor) -> Tensor:
    wrong = weights.isnan() | (weights == math.inf)  # -inf is a weight of 0
    bad = wrong.any(0).nonzero().flatten().tolist()
    if bad:
        raise NonFiniteError(
            f"log weight is not a number, or infinite, for image {bad[0]} of the batch ({len(bad)} of "
            f"{weights.shape[1]} images): the model or the guide returns NaN or a density of infinity there"
        )
    return weights


def require_tensor(x: Any) -> None:
    """Check that x can be images (N, ...).

    Raises:
        UsageError: if it is no tensor, or one number.
    """
    if not isinstance(x, Tensor) or not x.dim():
        raise UsageError(f"expected images x, a tensor (N, ...); got {type(x).__name__}: torch.as_tensor(x)")


def _joined(parts: list[Any]) -> dict[str, Tensor]:
    """The results of a batch whose samples were drawn in parts."""
    first, *others = parts
    if not isinstance(first, WeightStatistics):
        return dict(first)
    for other in others:
        first.merge(other)
    return first.results()


def _seed_of_all(seed: int | None, distributed: bool) -> int:
    """The seed, or a fresh one; that of the first process where several draw together."""
    if seed is not None:
        return seed
    return gathered(_fresh_seed)[0] if distributed else _fresh_seed()


def _fresh_seed() -> int:
    return int(torch.randint(2**62, ()).item())
