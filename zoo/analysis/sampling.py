"""Images from a model: samples, at any temperature, and reconstructions."""

from collections.abc import Callable, Mapping
from typing import Any

import pyro.poutine as poutine
import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from distributions.temperature import at_temperature
from zoo.errors import UsageError
from zoo.infer.joint import Joint
from zoo.infer.programs import evaluating, layer_at


@torch.no_grad()
def sample(
    model: Any,
    n: int,
    *,
    temperature: float | Mapping[int, float] = 1.0,
    mean: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """N images from the model, (n, C, H, W), in the encoding of its likelihood.

    Args:
        model: called with ``n=n``.
        n: at least 1.
        temperature: in [1e-6, 1e6], factor of the standard deviations of the latents and of a mixture
            likelihood's scales, divisor of the logits of autoregressive pixels; below 1 the samples are more
            typical and less varied. Or that of single layers of latents, {layer: temperature}; all else is
            at 1.
        mean: E[x | z] in place of x ~ p(x | z), where the likelihood has a mean: for pictures.
        progress: called with the share that is done: 1 at the end, and before that, where a model draws
            site by site.

    Raises:
        UsageError: if n < 1, the temperature is out of range, or the model has no layer that is given one.
    """
    if n < 1:
        raise UsageError(f"expected at least one sample; got {n}")
    _require_temperature(temperature)
    with evaluating(model), Tempered(temperature) as tempering, Watched(progress), poutine.trace() as trace:
        x = model(n=n)
    tempering.require_met()
    if progress is not None:
        progress(1.0)
    return picture(of_images(trace.trace.nodes)["fn"], x) if mean else x


@torch.no_grad()
def reconstruct(model: Any, guide: Any, x: Tensor) -> Tensor:
    """E[x | z] with z ~ q(z | x), for images x (B, C, H, W); a draw where the likelihood has no mean.

    A model without latent variables, PixelCNN and its kin, completes the upper half of each image instead.
    """
    with evaluating(model, guide):
        sites = Joint(model, guide, x).sample()
        likelihood = of_images(sites).prior
        if all(site.observed for site in sites.values()) and hasattr(likelihood, "complete"):
            return likelihood.complete(x, upper_half(x))
        return picture(likelihood)


@torch.no_grad()
def complete(model: Any, x: Tensor, known: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Images of an autoregressive model given some of their pixels; see `distributions.Autoregressive`.

    Args:
        model: a Pyro program without latent variables, called ``model(x)``.
        x: (B, C, H, W).
        known: boolean, broadcasts with x: the pixels that are kept.
        temperature: of the pixels that are drawn, see `sample`.

    Raises:
        UsageError: if the model is not autoregressive, or the temperature is out of range.
    """
    _require_temperature(temperature)
    with evaluating(model), poutine.trace() as trace:
        model(x)
    likelihood = of_images(trace.trace.nodes)["fn"]
    if len(trace.trace.nodes) > 1 or not hasattr(likelihood, "complete"):
        raise UsageError("only autoregressive models without latent variables complete images")
    return tempered(likelihood, temperature).complete(x, known)


def of_images(sites: Mapping[str, Any]) -> Any:
    """The site ``x`` of a model's run.

    Raises:
        UsageError: if it has none.
    """
    if "x" not in sites:
        others = ", ".join(name for name in sites if not name.startswith("_"))  # _INPUT, _RETURN of traces
        raise UsageError(f"expected a model whose images are the site 'x'; this one has {others}")
    return sites["x"]


def upper_half(x: Tensor) -> Tensor:
    """Which pixels are in the upper half of their image, (H, 1)."""
    height = x.shape[-2]
    return (torch.arange(height, device=x.device) < height // 2)[:, None]


def picture(likelihood: Any, x: Tensor | None = None) -> Tensor:
    """The mean of p(x | z), or x (a draw, by default) where the distribution knows no mean."""
    try:
        return likelihood.mean
    except NotImplementedError:
        return likelihood.sample() if x is None else x


def _require_temperature(temperature: float | Mapping[int, float]) -> None:
    for each in temperature.values() if isinstance(temperature, Mapping) else [temperature]:
        if not 1e-6 <= each <= 1e6:  # beyond, scales in float32 are 0 or infinite
            raise UsageError(f"expected a temperature in [1e-6, 1e6]; got {temperature}")


class Tempered(Messenger):
    """Scales the standard deviation of everything a model samples by a temperature, or of some layers."""

    def __init__(self, temperature: float | Mapping[int, float]) -> None:
        super().__init__()
        self.temperature = temperature
        self.layers: set[int] = set()

    def _pyro_sample(self, msg: Any) -> None:
        self.layers.add(layer_at(msg) or 0)
        temperature = self.temperature_of(msg)
        if temperature != 1 and not msg["is_observed"] and not site_is_subsample(msg):
            msg["fn"] = tempered(msg["fn"], temperature)

    def temperature_of(self, msg: Any) -> float:
        """That of the message's layer."""
        if isinstance(self.temperature, Mapping):
            return self.temperature.get(layer_at(msg) or 0, 1.0)
        return self.temperature

    def require_met(self) -> None:
        """Check that the model has sampled in every layer that has a temperature of its own.

        Raises:
            UsageError: if it has not.
        """
        if not isinstance(self.temperature, Mapping):
            return
        missing = set(self.temperature) - self.layers
        if missing:
            layers = sorted(self.layers - {0})
            raise UsageError(f"expected temperatures of the layers {layers}; got one of layer {min(missing)}")


class Watched(Messenger):
    """Shows how far the sampling of autoregressive distributions is."""

    def __init__(self, progress: Callable[[float], None] | None) -> None:
        super().__init__()
        self.progress = progress

    def _pyro_sample(self, msg: Any) -> None:
        if self.progress and not msg["is_observed"] and hasattr(msg["fn"], "with_progress"):
            msg["fn"] = msg["fn"].with_progress(self.progress)


def tempered(distribution: Any, temperature: float) -> Any:
    """The distribution at a temperature (`distributions.temperature`).

    Those without a scale stay as they are: noise of binary pixels is no variety of images.
    """
    base = getattr(distribution, "base_dist", distribution)
    if isinstance(base, (torch.distributions.Bernoulli, torch.distributions.Categorical)):
        return distribution
    try:
        return at_temperature(distribution, temperature)
    except NotImplementedError:
        return distribution
