"""Chains that move from one density of a model's latents to another: the machinery of `zoo.infer.annealed`.

log f_b(z) = (1 - b) log f_0(z) + b log p(x, z),          f_0(z) = p(z) or q(z | x)
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import pyro
import torch
from einops import rearrange, repeat
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.errors import NonFiniteError, UsageError
from zoo.infer.copied import copies
from zoo.infer.guides import Guide
from zoo.infer.handlers import CopiedData, Site
from zoo.infer.hmc import acceptance, adapted, leapfrog
from zoo.infer.joint import Joint
from zoo.infer.unconstrained import Flattened, Placed

Schedule = Literal["sigmoid", "linear"]
# Of the pilot run: steps at its first temperature, to find the order of magnitude, and at each of the others.
WARMUP, REPEATS = 20, 3
# Every chain takes exp(-SPREAD r) times the adapted step size, r uniform on [0, 1) and new in each step.
# Trajectories of one length come back to where they began at some frequencies, and chains far out, for which
# the step that suits the others is too long, would never move.
SPREAD = 3.0


@dataclass(frozen=True)
class Settings:
    """How the chains run; see `zoo.annealed_log_likelihood`.

    Raises:
        UsageError: naming what is out of range.
    """

    chains: int
    steps: int
    leapfrog: int
    target: float
    schedule: Schedule

    def __post_init__(self) -> None:
        for name in ("chains", "steps", "leapfrog"):
            if getattr(self, name) < 1:
                raise UsageError(f"expected {name} >= 1; got {getattr(self, name)}")
        if not 0 < self.target < 1:
            raise UsageError(f"expected a target acceptance between 0 and 1; got {self.target}")
        if self.schedule not in ("sigmoid", "linear"):
            raise UsageError(f"expected a schedule, sigmoid or linear; got {self.schedule!r}")

    def betas(self, steps: int | None = None) -> list[float]:
        """b_0 .. b_T, from 0 to 1: linear, or sigmoid(4 (2t/T - 1)) rescaled (arXiv:1611.04273)."""
        t = torch.linspace(-1, 1, (steps or self.steps) + 1, dtype=torch.float64)
        curve = t if self.schedule == "linear" else torch.sigmoid(4 * t)
        betas: list[float] = ((curve - curve[0]) / (curve[-1] - curve[0])).tolist()
        return betas


class State(NamedTuple):
    """Where N = chains x B chains are: u (N, D), and the terms of log f_b there, (N,) in float64."""

    u: Tensor
    log_start: Tensor
    log_joint: Tensor
    log_jacobian: Tensor

    @property
    def difference(self) -> Tensor:
        """Log p(x, z) - log f_0(z)."""
        return self.log_joint - self.log_start

    def log_f(self, beta: float) -> Tensor:
        """The log density of u under f_b, b > 0."""
        return self.log_start + beta * self.difference + self.log_jacobian


class FromPrior(Guide):
    """The guide that answers every latent with the model's own prior."""

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """The prior."""
        return prior


class Path:
    """The densities f_b for B images and `chains` chains each, as functions of unconstrained vectors.

    Args:
        model: a Pyro program.
        guide: f_0; None for the prior.
        x: images (B, ...).
        chains: an image.
    """

    def __init__(self, model: Any, guide: Any, x: Tensor, chains: int) -> None:
        with torch.no_grad():
            self.joint = Joint(model, guide or FromPrior(), x)
        self.images, self.chains = len(x), chains
        # Copied once: a run over them is one sample an image.
        self.joint.features, self.joint.x = (copies(t, chains) for t in (self.joint.features, x))
        self.blocks: Any = None

    @torch.no_grad()
    def start(self, latents: dict[str, Tensor] | None = None) -> State:
        """Chains drawn from f_0; or all chains of an image at its `latents`, (B, ...) by site."""
        given = {name: repeat(z, "b ... -> (c b) ...", c=self.chains) for name, z in (latents or {}).items()}
        flattened = Flattened(given)
        self._run(flattened)
        self.blocks = flattened.blocks()
        return self.at(flattened.vector())

    @torch.no_grad()
    def at(self, u: Tensor) -> State:
        """The state of chains at u (N, D)."""
        return self._state(u)

    @torch.enable_grad()
    def gradient(self, u: Tensor, beta: float) -> Tensor:
        """Of log f_b at u (N, D), (N, D)."""
        u = u.detach().requires_grad_()
        return torch.autograd.grad(self._state(u).log_f(beta).sum(), u)[0]

    def _run(self, draws: Messenger) -> dict[str, Site]:
        with CopiedData(self.images, self.chains):
            return self.joint.sample(1, draws)

    def _state(self, u: Tensor) -> State:
        placed = Placed(self.blocks, u)
        sites = self._run(placed).values()
        zero = u.new_zeros(len(u), dtype=torch.float64)
        log_start, log_joint = zero, zero
        for site in sites:
            if site.prior is None:
                raise UsageError(
                    f"the guide draws {site.name!r}, which the model does not have, so its density of the "
                    "other latents is unknown: start from the prior, guide=None"
                )
            log_p = site.log_p().double()
            log_joint = log_joint + log_p
            if not site.observed:
                log_start = log_start + (log_p if site.posterior is site.prior else site.log_q().double())
        return State(u, log_start, log_joint, zero + placed.log_jacobian)


class Kernel(NamedTuple):
    """Steps of Hamiltonian Monte Carlo at the temperatures b_0 .. b_T, of random length (`SPREAD`).

    Attributes:
        path: the densities.
        betas: T + 1 numbers.
        log_steps: of the longest step sizes, (T + 1, B).
        leapfrog: gradients a step.
    """

    path: Path
    betas: list[float]
    log_steps: Tensor
    leapfrog: int

    def __call__(self, state: State, t: int) -> tuple[State, Tensor]:
        """The next state at b_t, and the probabilities that the chains were to move, (chains, B)."""
        beta, chains = self.betas[t], self.path.chains
        step = repeat(self.log_steps[t].exp().to(state.u), "b -> (c b) 1", c=chains)
        step = step * torch.exp(-SPREAD * torch.rand_like(step))
        v = torch.randn_like(state.u)
        u, end_v = leapfrog(lambda u: self.path.gradient(u, beta), state.u, v, step, self.leapfrog)
        proposed = self.path.at(u)
        probability = acceptance(state.log_f(beta), v, proposed.log_f(beta), end_v)
        moves = torch.rand_like(probability) < probability
        chosen = (_where(moves, new, old) for new, old in zip(proposed, state, strict=True))
        return State(*chosen), rearrange(probability, "(c b) -> c b", c=chains)


def adapted_kernel(path: Path, settings: Settings) -> Kernel:
    """Step sizes from a pilot run through a twentieth of the temperatures, at least 20, three steps at each.

    They are fixed before the measured run, and so leave its weights unbiased.
    """
    log_step = torch.full((path.images,), -1.0, dtype=torch.float64, device=path.joint.x.device)
    betas = settings.betas()
    if settings.steps == 1:  # no chain takes a step
        return Kernel(path, betas, log_step.expand(2, -1), settings.leapfrog)
    pilot = settings.betas(max(min(settings.steps, 20), settings.steps // 20))
    state, log_steps = path.start(), []
    with pyro.validation_enabled(False):  # a step that is far too long may end outside the support
        for t in range(len(pilot)):
            for _ in range(REPEATS if t else WARMUP):
                kernel = Kernel(path, pilot, log_step.expand(len(pilot), -1), settings.leapfrog)
                state, probability = kernel(state, max(t, 1))
                log_step = adapted(log_step, probability, settings.target)
            log_steps.append(log_step)
    table = torch.stack(log_steps).T[None]
    between = interpolate(table, size=len(betas), mode="linear", align_corners=True)[0].T
    return Kernel(path, betas, between, settings.leapfrog)


class Run(NamedTuple):
    """What chains that went through all temperatures gave.

    Attributes:
        log_weights: (chains, B).
        acceptance: mean probability to move, (B,); 1 where no chain took a step.
    """

    log_weights: Tensor
    acceptance: Tensor

    def cpu(self) -> "Run":
        """The same on the CPU."""
        return Run(self.log_weights.cpu(), self.acceptance.cpu())


@torch.no_grad()
def run(kernel: Kernel, state: State, *, backwards: bool = False) -> Run:
    """Log weights of chains from `state` through all temperatures.

    Backwards, from exact draws of the posterior, each is the log of 1 / w.

    Raises:
        NonFiniteError: if one is not a number.
    """
    order = list(range(len(kernel.betas)))
    order = order[::-1] if backwards else order
    log_w, moved = torch.zeros_like(state.log_joint), []
    with pyro.validation_enabled(False):
        for now, then in pairwise(order):
            log_w = log_w + (kernel.betas[then] - kernel.betas[now]) * state.difference
            if then != order[-1]:
                state, probability = kernel(state, then)
                moved.append(probability.mean(0))
    if log_w.isnan().any():
        raise NonFiniteError("an annealed log weight is not a number: the model or the guide returns NaN")
    log_w = rearrange(log_w, "(c b) -> c b", c=kernel.path.chains)
    return Run(log_w, torch.stack(moved).mean(0) if moved else torch.ones_like(log_w[0]))


def _where(chosen: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Rows of `new` where `chosen` (N,), of `old` elsewhere."""
    return torch.where(chosen.view(-1, *[1] * (new.dim() - 1)), new, old)
