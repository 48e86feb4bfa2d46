"""One pass of a model with its guide, for k samples an image."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from einops import repeat
from torch import Tensor

from zoo.guides import Guide, OrdinaryGuide
from zoo.handlers import Answer, CopiedData, Recorder, Site
from zoo.programs import map_tensors


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

    def sample(self, k: int = 1, noise: AbstractContextManager[Any] | None = None) -> dict[str, Site]:
        """Every site of one joint run over N = k B images, sample-major: row i B + b is sample i of image b.

        Args:
            k: samples an image; they are folded into the batch, the only leading dimension a model sees.
            noise: a handler that draws the samples (`zoo.noise.SampleStreams`); default Pyro's own way.
        """
        features = copies(self.features, k)
        with noise or nullcontext():
            with Recorder() as recorder:
                features = self.guide.bottom_up(features)
            answer = Answer(self.guide, features, recorder.drawn, k * len(self.x))
            with CopiedData(len(self.x), k), answer as run:
                self.model(copies(self.x, k))
        return {**run.sites, **_guide_only(recorder.drawn, run)}


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
        name: Site(name, None, msg["fn"], msg["value"], True, msg["scale"], msg["mask"], run.rows)
        for name, msg in alone.items()
    }
