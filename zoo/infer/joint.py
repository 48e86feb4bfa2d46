"""One pass of a model with its guide, for k samples an image."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

from pyro.poutine import condition
from pyro.poutine.messenger import Messenger
from torch import Tensor

from zoo.infer.copied import Copied, copies
from zoo.infer.guides import Guide, OrdinaryGuide
from zoo.infer.handlers import Answer, Answered, CopiedData, Draws, Recorder, Site, drawn_log_prob
from zoo.infer.plates import batch_dim, per_image
from zoo.infer.programs import layer_at


class Joint:
    """Model and guide at the images x, ready to be sampled.

    What of the guide depends only on x is computed here, once.

    Args:
        model: a Pyro program, called ``model(x)``.
        guide: a `Guide`, or any Pyro program, called ``guide(x)``.
        x: (B, ...).
    """

    def __init__(self, model: Callable[..., Any], guide: Callable[..., Any], x: Tensor) -> None:
        self.model, self.x = model, x
        self.guide: Any = guide if isinstance(guide, Guide) else OrdinaryGuide(guide)
        self.features = self.guide.encode(x)

    def sample(self, k: int = 1, noise: Messenger | None = None) -> dict[str, Site]:
        """Every site of one joint run over N = k B images, sample-major: row i B + b is sample i of image b.

        Args:
            k: samples an image; they are folded into the batch, the only leading dimension a model sees.
            noise: a handler that draws the samples (`zoo.infer.noise.SampleStreams`); by default `Draws`.
        """
        with noise or Draws():
            return self.answered(self.bottom_up(k), k)

    def bottom_up(self, k: int = 1) -> "BottomUp":
        """What the guide draws before the model runs, k samples an image."""
        features = copies(self.features, k)
        with Recorder() as recorder:
            features = self.guide.bottom_up(features)
        return BottomUp(features, recorder.drawn)

    def answered(
        self, below: "BottomUp", k: int, *, given: dict[str, Tensor] | None = None
    ) -> dict[str, Site]:
        """The sites of a model's run over k B images, the guide having drawn `below` for as many.

        Args:
            below: see `bottom_up`.
            k: runs an image.
            given: values (k B, ...) of latents that are observed, by site.
        """
        answer = Answer(self.guide, below.features, below.drawn)
        observed = condition(data=given) if given else nullcontext()
        with CopiedData(len(self.x), k), answer as run, observed:
            self.model(copies(self.x, k))
        return _sites(run.sites, below.drawn, len(self.x), k)


class BottomUp(NamedTuple):
    """The bottom-up half of a run over N = k B images.

    Attributes:
        features: of the guide, each with leading dimension N.
        drawn: Pyro's messages of the latents that were drawn, by site.
    """

    features: Any
    drawn: dict[str, Any]

    def copies(self, c: int) -> "BottomUp":
        """C copies of every row, (N, ...) -> (c N, ...); what was drawn is not drawn again."""
        drawn = {
            name: {**msg, "fn": Copied(msg, c), "value": copies(msg["value"], c)}
            for name, msg in self.drawn.items()
        }
        return BottomUp(copies(self.features, c), drawn)


def _sites(answered: dict[str, Answered], drawn: dict[str, Any], images: int, k: int) -> dict[str, Site]:
    """The sites of a run over k copies of the images; the guide's auxiliary variables count with -log q.

    Raises:
        ValueError: if there is no one batch dimension (`zoo.infer.plates.batch_dim`), or the guide samples a
            variable that the model has not and that is not auxiliary.
    """
    rows = k * images
    dim = batch_dim({name: a.message["cond_indep_stack"] for name, a in answered.items()}, rows)
    found = {}
    for name, (prior, posterior, msg) in answered.items():
        of_model = of_guide = per_image(msg, dim, rows, images)
        if early := posterior is not None and name in drawn:
            of_guide = per_image(drawn[name], dim, rows, images)
        log_q = drawn_log_prob(drawn[name] if early else msg)
        found[name] = Site(
            name, prior, posterior, msg["value"], early, of_model, of_guide, log_q, layer_at(msg)
        )
    for name, msg in drawn.items():
        if name not in answered:
            _require_auxiliary(name, msg)
            own = per_image(msg, dim, rows, images)
            found[name] = Site(name, None, msg["fn"], msg["value"], True, own, own, drawn_log_prob(msg))
    return found


def _require_auxiliary(name: str, msg: Any) -> None:
    if not msg["infer"].get("is_auxiliary"):
        raise ValueError(
            f"the guide samples {name!r}, which the model does not: rename the site, or mark it "
            'auxiliary with infer={"is_auxiliary": True}'
        )
