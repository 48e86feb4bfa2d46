"""One pass of a model with its guide, for k samples an image."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

from einops import repeat
from pyro.poutine import condition
from pyro.poutine.messenger import Messenger
from torch import Tensor

from zoo.infer.guides import Guide, OrdinaryGuide
from zoo.infer.handlers import Answer, CopiedData, Draws, Recorder, Site, drawn_log_prob
from zoo.infer.programs import map_tensors


class Joint:
    """Model and guide at the images x, ready to be sampled.

    What of the guide depends on x alone is computed here, once.

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
        answer = Answer(self.guide, below.features, below.drawn, k * len(self.x))
        observed = condition(data=given) if given else nullcontext()
        with CopiedData(len(self.x), k), answer as run, observed:
            self.model(copies(self.x, k))
        return {**run.sites, **_guide_only(below.drawn, run)}


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


class Copied:
    """The distribution that a value was drawn from before the value was copied c times."""

    def __init__(self, msg: Any, c: int) -> None:
        self.msg, self.c = msg, c
        self.has_rsample = msg["fn"].has_rsample

    def log_prob(self, value: Tensor) -> Tensor:
        """Log q of the draw, which is that of each of its copies, (c N, ...)."""
        log_q = drawn_log_prob(self.msg)
        return copies(self.msg["fn"].log_prob(self.msg["value"]) if log_q is None else log_q, self.c)


def copies(tree: Any, k: int) -> Any:
    """K copies of every tensor of the tree, (B, ...) -> (k B, ...)."""
    if k == 1:
        return tree
    return map_tensors(lambda t: repeat(t, "b ... -> (k b) ...", k=k), tree)


def _guide_only(drawn: dict[str, Any], run: Answer) -> dict[str, Site]:
    """The auxiliary variables, which count with -log q alone.

    Raises:
        ValueError: if the guide samples a variable that the model has not and that is not auxiliary.
    """
    alone = {name: msg for name, msg in drawn.items() if name not in run.sites}
    for name, msg in alone.items():
        if not msg["infer"].get("is_auxiliary"):
            raise ValueError(
                f"the guide samples {name!r}, which the model does not: rename the site, or mark it "
                'auxiliary with infer={"is_auxiliary": True}'
            )
    return {
        name: Site(
            name,
            None,
            msg["fn"],
            msg["value"],
            True,
            msg["scale"],
            msg["mask"],
            run.rows,
            drawn_log_prob(msg),
        )
        for name, msg in alone.items()
    }
