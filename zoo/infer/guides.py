"""Guides: q(z | x) as Pyro programs that answer a model's latents while the model runs.

The deterministic path of a hierarchical model is needed twice, for p(z_i | z_>i) and for
q(z_i | x, z_>i). A guide here does not run it again: when the model reaches a latent site, the guide gives
its posterior there, from the prior and the features that the model passes (`zoo.latent`).

To write one, derive from `Guide`:

- ``encode(x)``: what depends only on x. Run once an image, however many samples are drawn.
- ``bottom_up(features)``: optional; may ``pyro.sample`` latents before the model runs (BIVA).
- ``posterior(name, prior, h, features)``: the distribution that answers the site `name`. Merge with
  `prior` (Ladder VAE), offset it (NVAE), use the model's features `h`, or return `prior` itself: that site
  then costs nothing (the bound L^{>k}).

Called as ``guide(x)``, traced by any of Pyro's tools, such a guide is an ordinary one: it runs its model
internally, and only the latents are in the trace.
"""

import copy
from typing import Any, TypeVar

import pyro
import pyro.poutine as poutine
from torch import Tensor

from zoo.infer.handlers import Answer, Recorder
from zoo.infer.programs import Program, batch_plate
from zoo.parts.heads import DequantizationHead, distribution_of, encoded

G = TypeVar("G", bound="Guide")


class Guide(Program):
    """Base class of guides that give posteriors during the model's run; see the module's docstring.

    Args:
        model: the model that ``guide(x)`` runs. An objective passes the model itself, so only Pyro's own
            tools need this one. It is not a submodule: the guide's parameters are its own. Copy the two
            together, ``copy.deepcopy((model, guide))``: a copy of only the guide has a copy of the model too.
    """

    def __init__(self, model: Any = None) -> None:
        super().__init__()
        self._model = (model,)

    @property
    def model(self) -> Any:
        """The model that this guide runs when it is called."""
        return self._model[0]

    def bound_to(self: G, model: Any) -> G:
        """The same guide with the same parameters, for another model, for example a conditioned one."""
        guide = copy.copy(self)
        guide._model = (model,)
        return guide

    def encode(self, x: Tensor) -> Any:
        """Features that depend only on the images x (B, C, H, W): tensors with leading dimension B."""
        return x

    def bottom_up(self, features: Any) -> Any:
        """Sample the latents that are inferred before the model runs; returns all the features."""
        return features

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """The posterior that answers the latent `name`; batch shape (B,), event shape the prior's."""
        raise NotImplementedError(f"{type(self).__name__} has no posterior for the latent {name!r}")

    def answer(self, message: Any, features: Any) -> Any:
        """`posterior` of the latent of a Pyro message, whose ``fn`` is its prior.

        Raises:
            ValueError: if the guide knows no latent of that name.
        """
        name = message["name"]
        try:
            return self.posterior(name, message["fn"], message["infer"].get("h"), features)
        except KeyError as error:
            if error.args != (name,):
                raise
            raise no_posterior(self, name) from error

    def require_drawn(self, message: Any) -> None:
        """Any latent may be drawn before the model runs."""

    def forward(self, x: Tensor) -> None:
        """Sample every latent given x, as an ordinary Pyro guide."""
        if self.model is None:
            raise ValueError(
                f"{type(self).__name__} needs a model to run by itself: give it one, guide.bound_to(model)"
            )
        features = self.encode(x)
        with Recorder() as recorder:
            features = self.bottom_up(features)
        drawn = recorder.drawn
        hidden = poutine.block(hide_fn=lambda site: site["is_observed"] or site["name"] in drawn)
        with hidden, Answer(self, features, drawn):
            self.model(x)


def no_posterior(guide: Guide, name: str) -> ValueError:
    """The error of a guide that is asked for a latent which its own model does not have."""
    return ValueError(
        f"{type(guide).__name__} has no posterior for the latent {name!r}: it was made for another "
        "model, or for fewer layers"
    )


class AmortizedGuide(Guide):
    """q(z | x) for a model of one latent variable (Kingma & Welling 2013, arXiv:1312.6114).

    Args:
        posterior: called with x (B, C, H, W), returns a distribution of batch shape (B,): a
            `zoo.NormalHead`, that head with flows (`zoo.transformed`), or any callable.
        site: the latent's name in the model.
        model: see `Guide`; not needed, since this posterior depends only on x.
    """

    def __init__(self, posterior: Any, *, site: str = "z", model: Any = None) -> None:
        super().__init__(model)
        self.head = posterior
        self.site = site

    def encode(self, x: Tensor) -> Any:
        """The parameters of q(z | x)."""
        return encoded(self.head, x)

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(z | x) at the guide's own site.

        Raises:
            ValueError: if the model has another latent, which this guide cannot answer.
        """
        if name != self.site:
            raise ValueError(
                f"this guide answers the latent {self.site!r}, not {name!r}: name the site, "
                "AmortizedGuide(..., site=...), or write a Guide for all of the model's latents"
            )
        return distribution_of(self.head, features)

    def forward(self, x: Tensor) -> None:
        """Sample z ~ q(z | x); runs the model too only where one was given."""
        if self.model is not None:
            return super().forward(x)
        with batch_plate():
            pyro.sample(self.site, self.head(x))
        return None


class Dequantization(AmortizedGuide):
    """q(y | x) for `zoo.models.flow_density`: y = (k + u) / levels for the level k of every sub-pixel.

    Args:
        levels: of the images.
        noise: a head, x to a distribution over u in (0, 1)^D; uniform by default.
    """

    def __init__(self, levels: int, *, noise: Any = None) -> None:
        super().__init__(DequantizationHead(levels, noise=noise), site="y")


class OrdinaryGuide:
    """Any Pyro program as a guide: it draws all its latents before the model runs."""

    def __init__(self, program: Any) -> None:
        self.program = program

    def encode(self, x: Tensor) -> Any:
        """The images: what the program computes from them is not separated."""
        return x

    def bottom_up(self, features: Any) -> Any:
        """Run the program on the images."""
        self.program(features)
        return features

    def require_drawn(self, message: Any) -> None:
        """All latents are drawn before the model runs."""

    def answer(self, message: Any, features: Any) -> Any:
        """There is no posterior left.

        Raises:
            ValueError: always; the program did not sample this latent.
        """
        name = message["name"]
        raise ValueError(f"the guide does not sample the model's latent {name!r}; add that site to it")
