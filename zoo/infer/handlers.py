"""The effect handlers that join a model and a guide in one pass.

The model runs once, as an ordinary Pyro program. At each latent site the guide gives its posterior, from the
prior and the features that the model passes there; a latent that the guide drew before the model ran
(bottom-up) takes that value. No state is kept between passes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import kl_divergence

from distributions.fused import fused_log_prob
from distributions.transformed import ScoredDraw, scored_draw
from zoo.infer.plates import PerImage


class Answers(Protocol):
    """What the model's run needs of a guide."""

    def answer(self, message: Any, features: Any) -> Any:
        """The posterior of the latent of Pyro's message, whose ``fn`` is its prior."""

    def require_drawn(self, message: Any) -> None:
        """Check that the guide may have drawn the latent of Pyro's message before the model ran."""


class Site(NamedTuple):
    """One sample statement of a joint run of model and guide over N = k B images.

    Attributes:
        name: of the site.
        prior: p(site | parents); of an observed site, its likelihood. None where only the guide has the site.
        posterior: q(site | ...), None where the site is observed.
        value: (N, ...).
        early: whether the guide drew it before the model ran, so that the prior may depend on it.
        of_model, of_guide: how log probabilities under the prior and the posterior become one term an image.
        drawn_log_q: returns log q of the value from what was computed in drawing it (see `Draws`); None
            where nothing was.
        layer: of a hierarchy (`zoo.latent`), None where it has none.
    """

    name: str
    prior: Any
    posterior: Any
    value: Tensor
    early: bool
    of_model: PerImage
    of_guide: PerImage
    drawn_log_q: Callable[[], Tensor] | None = None
    layer: int | None = None

    @property
    def observed(self) -> bool:
        """Whether the value is data."""
        return self.posterior is None

    def log_p(self) -> Tensor:
        """Log p of the value, (N,), in nats; 0 for an auxiliary variable of the guide."""
        if self.prior is None:
            return torch.zeros_like(self.log_q())
        if self.prior is self.posterior:
            return self.log_q()
        return self.of_model(fused_log_prob(self.prior, self.value))

    def log_q(self) -> Tensor:
        """Log q of the value, (N,), in nats; its gradient is total, through the value too."""
        drawn = self.drawn_log_q
        return self.of_guide(fused_log_prob(self.posterior, self.value) if drawn is None else drawn())

    def kl(self) -> Tensor:
        """KL(q || p) in closed form, (N,), in nats; NotImplementedError where none is registered."""
        return self.of_model(kl_divergence(self.posterior, self.prior))


class Draws(Messenger):
    """Draws each sample statement, and keeps its log density, where that comes cheaper with the draw."""

    def _pyro_sample(self, msg: Any) -> None:
        if msg["value"] is None and not msg["done"] and not site_is_subsample(msg):
            self.draw(msg)

    def draw(self, msg: Any) -> None:
        """Set the message's value, and its log density where that comes with it."""
        drawn = scored_draw(msg["fn"], *msg["args"], **msg["kwargs"])
        if drawn is None:
            msg["value"] = msg["fn"](*msg["args"], **msg["kwargs"])
        else:
            msg["value"], msg["drawn"] = drawn.value, drawn


def drawn_log_prob(msg: Any) -> Callable[[], Tensor] | None:
    """Log density of the value as `Draws` drew it; None if another handler has replaced the value."""
    drawn: ScoredDraw | None = msg.get("drawn")
    return drawn.log_prob if drawn is not None and drawn.value is msg["value"] else None


class Recorder(Messenger):
    """Records what a guide draws before the model runs."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: dict[str, Any] = {}

    def _pyro_post_sample(self, msg: Any) -> None:
        if not site_is_subsample(msg):
            self.drawn[msg["name"]] = msg


class CopiedData(Messenger):
    """Repeats the data of a conditioned model, one row an image, for k samples an image."""

    def __init__(self, images: int, k: int) -> None:
        super().__init__()
        self.images, self.k = images, k

    def _pyro_sample(self, msg: Any) -> None:
        value = msg["value"]
        if self.k == 1 or not msg["is_observed"] or not isinstance(value, Tensor):
            return
        if value.dim() == msg["fn"].event_dim + 1 and len(value) == self.images:
            msg["value"] = value.repeat(self.k, *[1] * (value.dim() - 1))


class Answered(NamedTuple):
    """One sample statement of the model's run: its prior or likelihood, its posterior, Pyro's message."""

    prior: Any
    posterior: Any
    message: Any


class Answer(Messenger):
    """Answers the latent sites of a running model with a guide's posteriors.

    Attributes:
        sites: every sample statement of the run, by name.
    """

    def __init__(self, guide: Answers, features: Any, drawn: dict[str, Any]) -> None:
        super().__init__()
        self.guide, self.features, self.drawn = guide, features, drawn
        self.sites: dict[str, Answered] = {}
        self._priors: dict[str, Any] = {}

    def _pyro_sample(self, msg: Any) -> None:
        if msg["is_observed"] or site_is_subsample(msg):
            return
        name = msg["name"]
        self._priors[name] = msg["fn"]
        if name in self.drawn:
            self.guide.require_drawn(msg)
            early = self.drawn[name]
            _require_event(name, msg["fn"], early["value"].shape)
            msg["fn"], msg["value"], msg["done"] = early["fn"], early["value"], True
        else:
            posterior = self.guide.answer(msg, self.features)
            _require_event(name, msg["fn"], posterior.batch_shape + posterior.event_shape)
            msg["fn"] = posterior

    def _pyro_post_sample(self, msg: Any) -> None:
        if site_is_subsample(msg) or msg["infer"].get("_deterministic"):
            return
        name, fn = msg["name"], msg["fn"]
        prior, posterior = (self._priors[name], fn) if name in self._priors else (fn, None)
        self.sites[name] = Answered(prior, posterior, msg)


def _require_event(name: str, prior: Any, drawn: torch.Size) -> None:
    """Check that what a guide draws is an event of the model's prior.

    Raises:
        ValueError: if its shape does not end with the event's.
    """
    event = tuple(prior.event_shape)
    if event and tuple(drawn[-len(event) :]) != event:
        raise ValueError(
            f"expected a posterior of the latent {name!r} whose draws end with the prior's event shape "
            f"{event}; got draws of shape {tuple(drawn)}: make both of one size, with the same .to_event"
        )
