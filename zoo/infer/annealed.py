"""The marginal likelihood by annealed importance sampling (Neal 2001, physics/9803008; arXiv:1611.04273).

    log f_b(z) = (1 - b) log f_0(z) + b log p(x, z),          f_0(z) = p(z) or q(z | x)
    log w = sum_t (b_t - b_(t-1)) (log p(x, z_(t-1)) - log f_0(z_(t-1))),    0 = b_0 < ... < b_T = 1

with z_0 ~ f_0 and z_t one step of Hamiltonian Monte Carlo from z_(t-1) that leaves f_(b_t) invariant, of a
length drawn at random so that no chain is stuck (arXiv:1206.1901). Then E[w] = p(x), as with importance
sampling, which it is for T = 1; but for large T a bad f_0 does little harm.
Step sizes, one an image and temperature, come from a pilot run that is thrown away: steps adapted during the
measured run would depend on what it visits, and E[w] would no longer be p(x).

For images simulated from the model together with their z, which then is an exact draw from the posterior,
the same steps taken backwards give an upper bound: `bracket_log_likelihood` (arXiv:1511.02543).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from zoo.errors import UsageError
from zoo.infer.annealing import FromPrior, Path, Run, Schedule, Settings, adapted_kernel, run
from zoo.infer.importance import LogLikelihood, log_likelihood, require_tensor, rows_at_once, stderr
from zoo.infer.programs import evaluating
from zoo.infer.sharing import shared
from zoo.infer.unconstrained import is_latent
from zoo.infer.weight_statistics import WeightStatistics
from zoo.seeds import mixed_seed

# Times the rows of an importance sample: a gradient of few rows is mostly the cost of Pyro's handlers.
CHAINS_AT_ONCE = 4


@dataclass(frozen=True)
class AnnealedLogLikelihood(LogLikelihood):
    """An estimate of log p(x) for N images by annealing; see `LogLikelihood`, with chains for samples.

    Attributes:
        elbo: the mean of the chains' log w, a lower bound like the ELBO and tighter.
        acceptance: mean probability that a chain moved in a step, (N,).
        steps: T, the temperatures.
        leapfrog: gradients a step.
    """

    acceptance: Tensor | None = None
    steps: int = 1
    leapfrog: int = 0

    def summary(self) -> dict[str, float | int | None]:
        """The numbers for a table, means over the images; None where there is no number."""
        names = {"elbo": "annealed_bound", "elbo_stderr": "annealed_bound_stderr", "samples": "chains"}
        numbers = {names.get(name, name): value for name, value in super().summary().items()}
        moved = None if self.acceptance is None else self.acceptance.mean().item()
        return {**numbers, "steps": self.steps, "leapfrog": self.leapfrog, "acceptance": moved}


@dataclass(frozen=True)
class Bracket:
    """Two bounds of log p(x) for N images simulated from the model, in nats.

    Each holds in expectation, and P(lower > log p(x) + c) < exp(-c); so for the upper one.

    Attributes:
        lower: from the chains that run forwards.
        upper: -log of the mean of 1 / w over the chains that run backwards from the true z, (N,).
        images: what was simulated, (N, ...).
    """

    lower: AnnealedLogLikelihood
    upper: Tensor
    images: Tensor

    @property
    def gap(self) -> float:
        """Mean of upper - lower over the images, which bounds the mean error of either."""
        return (self.upper - self.lower.log_likelihood).mean().item()

    @property
    def gap_stderr(self) -> float:
        """Standard error of `gap` over the images."""
        return stderr(self.upper - self.lower.log_likelihood)


def annealed_log_likelihood(
    model: Callable[..., Any],
    x: Tensor,
    *,
    guide: Callable[..., Any] | None = None,
    chains: int = 16,
    steps: int = 1000,
    leapfrog: int = 10,
    target: float = 0.65,
    schedule: Schedule = "sigmoid",
    batch_size: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    distributed: bool = False,
) -> AnnealedLogLikelihood:
    """Estimate log p(x) of every image by annealed importance sampling.

    Cost: chains x steps x leapfrog gradients of the model an image, and about a sixth of that for the
    pilot run.
    Modules are put in evaluation mode meanwhile; PyTorch's own random numbers are left as they were.

    Args:
        model: a Pyro program with continuous latents; ``model(x)`` observes the images.
        x: images (N, ...), N >= 1.
        guide: where the chains start; by default from the model's prior.
        chains: an image.
        steps: T, the number of temperatures.
        leapfrog: gradients a step of Hamiltonian Monte Carlo.
        target: mean acceptance that the step sizes are adapted to, between 0 and 1.
        schedule: of b_t: "sigmoid", slow at both ends, or "linear".
        batch_size: images at a time; by default so many that hundreds of chains run at once, of small images
            thousands.
        seed: of all noise.
        progress: called with the number of images done after each batch.
        distributed: whether all processes of `torch.distributed` call this, with equal arguments. Each takes
            whole batches, all return the whole.

    Raises:
        UsageError: for a number out of range, a discrete latent, or a guide whose density is unknown.
        NonFiniteError: if a weight is not a number.
    """
    settings = Settings(chains, steps, leapfrog, target, schedule)
    if not _has_latents(model, x):
        options: Any = {"seed": seed, "progress": progress, "distributed": distributed}
        return AnnealedLogLikelihood(**vars(log_likelihood(model, guide or FromPrior(), x, 1, **options)))
    batches = _batches(x, batch_size, chains)

    def annealed(j: int, _: range) -> Run:
        with _prepared(mixed_seed("annealed", seed, j), x.device, model, guide):
            path = Path(model, guide, batches[j], chains)
            kernel = adapted_kernel(path, settings)
            return run(kernel, path.start()).cpu()

    sizes = [len(images) for images in batches]
    parts = shared(annealed, sizes, 1, distributed=distributed, progress=progress)
    return _collected([found for (found,) in parts], x, settings)


def bracket_log_likelihood(
    model: Callable[..., Any],
    x: Tensor,
    *,
    guide: Callable[..., Any] | None = None,
    chains: int = 16,
    steps: int = 1000,
    leapfrog: int = 10,
    target: float = 0.65,
    schedule: Schedule = "sigmoid",
    batch_size: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Bracket:
    """Bound log p(x') from both sides for as many simulated images x' as there are in x.

    Of a model without latents both bounds are log p(x') itself.

    The distance between the bounds shows how far annealing with these settings can be trusted on images like
    the simulated ones; real images may be harder.

    Args:
        model: as for `annealed_log_likelihood`.
        x: images (N, ...); only their shape matters. The model must observe this very tensor at one site.
            Other observations, such as a label, stay as they are and must not depend on the latents, which
            otherwise would be no draw from the posterior.
        guide: where the chains that run forwards start, and the others end.
        chains: an image, for each of the two bounds.
        steps: T, the number of temperatures.
        leapfrog: gradients a step of Hamiltonian Monte Carlo.
        target: as for `annealed_log_likelihood`.
        schedule: as for `annealed_log_likelihood`.
        batch_size: as for `annealed_log_likelihood`.
        seed: of all noise.
        progress: called with the number of images done after each batch.

    Raises:
        UsageError: as for `annealed_log_likelihood`, or if no site observes x.
        NonFiniteError: if a weight is not a number.
    """
    settings = Settings(chains, steps, leapfrog, target, schedule)
    if not _has_latents(model, x):
        return _without_latents(model, x, batch_size, seed)
    forward, backward, simulated = [], [], []
    for j, template in enumerate(_batches(x, batch_size, chains)):
        with _prepared(mixed_seed("bracket", seed, j), x.device, model, guide):
            images, latents = simulate(model, template)
            path = Path(model, guide, images, chains)
            kernel = adapted_kernel(path, settings)
            forward.append(run(kernel, path.start()))
            backward.append(run(kernel, path.start(latents), backwards=True))
        simulated.append(images)
        if progress is not None:
            progress(len(images))
    upper = torch.cat([math.log(chains) - back.log_weights.logsumexp(0) for back in backward])
    return Bracket(_collected(forward, x, settings), upper, torch.cat(simulated))


def _without_latents(model: Any, x: Tensor, batch_size: int | None, seed: int) -> Bracket:
    """The exact log p of simulated images, from both sides."""
    simulated = []
    for j, template in enumerate(_batches(x, batch_size, 1)):
        with _prepared(mixed_seed("bracket", seed, j), x.device, model):
            simulated.append(simulate(model, template)[0])
    images = torch.cat(simulated)
    exact = annealed_log_likelihood(model, images, seed=seed)
    return Bracket(exact, exact.log_likelihood, images)


@torch.no_grad()
def simulate(model: Callable[..., Any], x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Images of the shape of x from the model, and by site the latents that they were drawn from.

    Raises:
        UsageError: if not exactly one site observes x.
    """
    with _Simulated(x) as simulated:
        model(x)
    if len(simulated.observed) != 1:
        raise UsageError(
            "simulating images needs a model that observes x itself, obs=x, at one site; this one does at "
            f"{len(simulated.observed)}"
        )
    return simulated.observed[0].reshape(x.shape), simulated.latents


class _Simulated(Messenger):
    """Draws what would be observed as x; other observations, such as a label, stay."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x
        self.observed: list[Tensor] = []
        self.latents: dict[str, Tensor] = {}

    def _pyro_sample(self, msg: Any) -> None:
        value = msg["value"]
        if not msg["is_observed"] or not isinstance(value, Tensor):
            return
        if value.data_ptr() == self.x.data_ptr() and value.numel() == self.x.numel():
            msg.update(is_observed=False, value=None, done=False)
            msg["infer"] = {**msg["infer"], "was_observed": True}

    def _pyro_post_sample(self, msg: Any) -> None:
        if msg["infer"].get("was_observed"):
            self.observed.append(msg["value"])
        elif is_latent(msg):
            self.latents[msg["name"]] = msg["value"]


@contextmanager
def _prepared(seed: int, device: torch.device, *programs: Any) -> Iterator[None]:
    """Evaluation mode, and PyTorch's own generators at `seed`, both as they were again afterwards."""
    devices = [device] if device.type == "cuda" else []
    with evaluating(*(p for p in programs if p is not None)), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


@torch.no_grad()
def _has_latents(model: Any, x: Tensor) -> bool:
    require_tensor(x)
    with _prepared(0, x.device, model), _Simulated(x) as simulated:
        model(x[:1])
    return bool(simulated.latents)


def _batches(x: Tensor, batch_size: int | None, chains: int) -> tuple[Tensor, ...]:
    """Parts of x of `batch_size` images.

    Raises:
        UsageError: if there are no images, or the batch size is not positive.
    """
    if batch_size is None:
        batch_size = max(1, CHAINS_AT_ONCE * rows_at_once(x) // chains)
    if batch_size < 1 or not len(x):
        raise UsageError(f"expected images and a batch_size >= 1; got {len(x)} images, {batch_size}")
    return x.split(batch_size)


def _collected(runs: list[Run], x: Tensor, settings: Settings) -> AnnealedLogLikelihood:
    batches = []
    for done in runs:
        statistics = WeightStatistics(settings.chains)
        statistics.update(done.log_weights)
        batches.append({**statistics.results(), "acceptance": done.acceptance})
    fields: dict[str, Any] = {
        name: torch.cat([batch[name] for batch in batches]).to(x.device) for name in batches[0]
    }
    fields |= {"samples": settings.chains, "steps": settings.steps, "leapfrog": settings.leapfrog}
    return AnnealedLogLikelihood(**fields, dimensions=x[0].numel())
