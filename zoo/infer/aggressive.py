"""Aggressive training of the guide (He, Spokoyny, Neubig, Berg-Kirkpatrick 2019), arXiv:1901.05534.

A posterior that lags behind the model's makes z look useless, and a strong decoder learns to do without it.
So at first the guide is trained until it no longer improves, for every single step of the model:

    repeat  guide's steps until the mean loss of the last 10 does not fall, at most 100;  a step of the model
    until   the mutual information I(x; z) under q no longer rises;  from then on ordinary training

The loss is the ELBO's throughout. The gradient is of one half only: parameters of the other have none in such
a step, so that an optimiser passes over them. Every step, of either half, takes a batch of its own, so an
epoch of the first phase has fewer of the model.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import UsageError
from zoo.infer.handlers import Site
from zoo.infer.joint import Joint
from zoo.infer.objectives import ELBO, ELBOLoss, analytic_where_unbiased
from zoo.infer.programs import evaluating
from zoo.settings import require_at_least_one

WINDOW = 10  # guide's steps whose mean loss is compared with that of as many before
HELD = 500  # images that the mutual information is estimated on


class AggressiveELBO(ELBO):
    """See the module's docstring; the ELBO, a lower bound on log p(x), in every step.

    Args:
        num_particles: samples of z an image.
        warmup: as for `zoo.ELBO`.
        inner_steps: of the guide for one of the model, at most.
        check_every: steps between two estimates of the mutual information, an epoch's in the paper.
        plateau: estimates in a row without a rise after which the phase ends.
        kl: how a latent's term is estimated.

    Raises:
        UsageError: if a number is out of range.
    """

    of_posterior = True

    def __init__(
        self,
        num_particles: int = 1,
        *,
        warmup: int = 0,
        inner_steps: int = 100,
        check_every: int = 1000,
        plateau: int = 1,
        kl: Callable[[Site], Tensor] = analytic_where_unbiased,
    ) -> None:
        super().__init__(num_particles, warmup=warmup, kl=kl)
        require_at_least_one(inner_steps=inner_steps, check_every=check_every, plateau=plateau)
        self.inner_steps, self.check_every, self.plateau = inner_steps, check_every, plateau
        self.held: Tensor | None = None

    def prepare(self, model: Any, data: Any, encoding: Callable[..., Tensor]) -> None:
        """Take validation images, if there are any, for the mutual information; else it is of the batch."""
        if len(data.validation):
            self.held = encoding(data.validation[:HELD], data.levels)

    def __call__(self, model: Any, guide: Any) -> "AggressiveLoss":
        """The loss of this pair, both nn.Modules."""
        return AggressiveLoss(model, guide, self)


@dataclass
class Progress:
    """Where the first phase is.

    Attributes:
        aggressive: 1 in the first phase, 0 afterwards.
        inner: steps of the guide since the model's last.
        total: of the losses of the window.
        previous: mean loss of the window before.
        steps: of both.
        best: largest mutual information so far.
        stale: estimates since it rose.
    """

    aggressive: float = 1.0
    inner: float = 0.0
    total: float = 0.0
    previous: float = math.inf
    steps: float = 0.0
    best: float = -math.inf
    stale: float = 0.0


class AggressiveLoss(ELBOLoss):
    """Minus the ELBO, with the gradient of one half; see `AggressiveELBO`. Its progress is part of its state.

    Reads the loss's value in every tenth step of the first phase, so it cannot be compiled whole.
    """

    objective: AggressiveELBO

    def __init__(self, model: Any, guide: Any, objective: AggressiveELBO) -> None:
        super().__init__(model, guide, objective)
        self.progress, self.models_turn = Progress(), False

    def forward(self, x: Tensor) -> Tensor:
        """Minus the bound."""
        if not (self.training and self.progress.aggressive and torch.is_grad_enabled()):
            return super().forward(x)
        with without_gradient(self._other_half()):
            loss = super().forward(x)
        self._advance(loss.detach(), x)
        return loss

    def get_extra_state(self) -> Tensor:
        """The progress, for a checkpoint."""
        return torch.tensor([*astuple(self.progress), self.models_turn], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Resume from a checkpoint."""
        *progress, turn = state.tolist()
        self.progress, self.models_turn = Progress(*progress), bool(turn)

    def _other_half(self) -> list[nn.Parameter]:
        """Parameters that this step leaves as they are; shared ones are the guide's."""
        of_guide = list(self.guide.parameters())
        if self.models_turn:
            return of_guide
        ours = set(map(id, of_guide))
        return [p for p in self.model.parameters() if id(p) not in ours]

    def _advance(self, loss: Tensor, x: Tensor) -> None:
        p = self.progress
        p.steps += 1
        if self.models_turn:
            p.inner, p.total, p.previous, self.models_turn = 0.0, 0.0, math.inf, False
        else:
            self._count(loss)
        if p.steps % self.objective.check_every == 0:
            self._check(x)

    def _count(self, loss: Tensor) -> None:
        """Take in a step of the guide: is it the model's turn?"""
        p = self.progress
        p.inner, p.total = p.inner + 1, p.total + loss.item() / WINDOW
        if p.inner % WINDOW == 0:
            self.models_turn, p.previous, p.total = p.total >= p.previous, p.total, 0.0
        self.models_turn = self.models_turn or p.inner >= self.objective.inner_steps

    def _check(self, x: Tensor) -> None:
        held = x if self.objective.held is None else self.objective.held.to(x)
        information = mutual_information(self.model, self.guide, held)
        p = self.progress
        p.stale = 0.0 if information > p.best else p.stale + 1
        p.best = max(p.best, information)
        p.aggressive = float(p.stale < self.objective.plateau)
        self.stats["mutual_information"] = torch.tensor(information)


@torch.no_grad()
def mutual_information(model: Any, guide: Any, x: Tensor, *, samples: int = 1) -> float:
    """I(x; z) under q and the images x (B, ...), in nats, at most log B.

        1/B sum_b E_{q(z | x_b)}[log q(z | x_b) - log 1/B sum_j q(z | x_j)]

    Args:
        model: of one latent variable.
        guide: whose posterior scores (B, 1, ...) values for B images, as normals do.
        x: images.
        samples: of z an image.

    Raises:
        UsageError: for models of several latent variables.
    """
    total = 0.0
    with evaluating(model, guide):
        joint = Joint(model, guide, x)
        for _ in range(samples):
            latents = [s for s in joint.sample().values() if not s.observed]
            if len(latents) != 1:
                raise UsageError(f"expected one latent variable; got {[s.name for s in latents]}")
            (site,) = latents
            log_q = site.posterior.log_prob(site.value.unsqueeze(1))  # log q(z_i | x_j)
            own = log_q.diagonal() - (log_q.logsumexp(1) - math.log(len(x)))
            total += own.mean().item() / samples
    return total


@contextmanager
def without_gradient(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """What is computed meanwhile depends on these parameters as on constants."""
    learned = [p for p in parameters if p.requires_grad]
    try:
        for p in learned:
            p.requires_grad_(False)
        yield
    finally:
        for p in learned:
            p.requires_grad_(True)
