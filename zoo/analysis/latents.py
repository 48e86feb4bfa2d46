"""Latents of images, and images of latents: encode, decode, resample, interpolate."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pyro.poutine as poutine
import torch
from einops import rearrange
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn

from zoo.analysis.sampling import of_images, picture, reconstruct
from zoo.errors import UsageError
from zoo.infer.copied import copies
from zoo.infer.joint import Joint
from zoo.infer.layers_above import above as infer_above
from zoo.infer.layers_above import mean_of
from zoo.infer.programs import evaluating

Latents = dict[str, Tensor]


@torch.no_grad()
def encode(model: Any, guide: Any, x: Tensor, *, mean: bool = False) -> Latents:
    """Every latent of the images x (B, C, H, W), z ~ q(z | x): {site: (B, ...)}, as `decode` takes them.

    Args:
        model: a Pyro program, called ``model(x)``.
        guide: a `zoo.Guide` or any Pyro program, called ``guide(x)``.
        x: images as the likelihood takes them.
        mean: each latent at the mean of its posterior, given the others at theirs, in place of draws.

    Raises:
        UsageError: if the mean is asked for of a posterior that knows none (a flow's).
    """
    with evaluating(model, guide):
        sites = Joint(model, guide, x).sample(noise=Means() if mean else None)
    return {name: s.value for name, s in sites.items() if not s.observed and s.prior is not None}


@torch.no_grad()
def decode(model: Any, latents: Mapping[str, Tensor], *, mean: bool = False) -> Tensor:
    """E[x | z] (B, C, H, W); a draw where the likelihood has no mean.

    Args:
        model: a Pyro program, called ``model(n=B)``.
        latents: {site: (B, ...)}; those that are not given are drawn from the prior given the others.
        mean: those take the mean of that prior in place of a draw.

    Raises:
        UsageError: if there are no latents, a name that the model has not, or a shape that is not the site's.
    """
    others = Means() if mean else nullcontext()
    return _picture(model, _rows(latents), others, Given(latents))


@torch.no_grad()
def resample(model: Any, guide: Any, x: Tensor, *, below: int, mean: bool = False) -> Tensor:
    """E[x | z] with z_>k ~ q(z_>k | x) and z_<=k ~ p(z_<=k | z_>k), k = `below`: (B, C, H, W).

    What the layers above k know of an image. At k = 0 it is `zoo.reconstruct`; at the number of layers it
    is sampling from the prior.

    Args:
        model: a Pyro program, called ``model(x)``.
        guide: a `zoo.Guide` or any Pyro program, called ``guide(x)``.
        x: images (B, C, H, W).
        below: k, the highest layer that is drawn anew.
        mean: those layers take the mean of their prior in place of a draw.

    Raises:
        UsageError: if k is negative or the model has fewer layers.
    """
    return reconstruct(model, infer_above(guide, below, mean), x)


@torch.no_grad()
def interpolate(
    model: Any, guide: Any, a: Tensor, b: Tensor, *, steps: int = 8, above: int = 0, mean: bool = True
) -> Tensor:
    """Images on the way from a to b (B, C, H, W) through the latents: (steps, B, C, H, W).

    Each latent is seen as the noise that makes it from what is above it, standard normal a priori,

        e_i = (z_i - m_i) / s_i,   m_i, s_i the mean and the standard deviation of p(z_i | z_>i),

    and e_i goes from that of a to that of b on a great circle, its length linearly (`slerp`): noise on a
    straight line would be shorter in the middle than what the prior draws. A prior that knows no moments (a
    flow's) has m_i = 0 and s_i = 1 here.

    Args:
        model: a Pyro program, called ``model(x)`` and ``model(n=N)``.
        guide: a `zoo.Guide` or any Pyro program, called ``guide(x)``.
        a: images (B, C, H, W), the first of the way.
        b: the last of it, as many.
        steps: images on the way, both ends among them, at least 2.
        above: only layers above this one are interpolated; the others are at the mean of their prior.
        mean: between the posteriors' means (`encode`) in place of draws.

    Raises:
        UsageError: with fewer than 2 steps, a and b of two shapes, or `above` negative or not below the
            number of layers.
    """
    if steps < 2 or a.shape != b.shape or above < 0:
        raise UsageError(
            "expected steps >= 2, above >= 0, and images a and b of one shape; got "
            f"{steps}, {above}, {tuple(a.shape)} and {tuple(b.shape)}"
        )
    of_layer = layers(model, guide, a) if above else {}
    ends = [_higher(encode(model, guide, x, mean=mean), above, of_layer) for x in (a, b)]
    first, last = (copies(noise_of(model, latents), steps) for latents in ends)  # each (steps B, ...)
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device).repeat_interleave(len(a))
    way = {name: slerp(first[name], last[name], t) for name in first}
    pictures = _picture(model, len(t), Means(), FromNoise(way))
    return rearrange(pictures, "(s b) ... -> s b ...", s=steps)


@torch.no_grad()
def noise_of(model: Any, latents: Mapping[str, Tensor]) -> Latents:
    """The noise (z_i - m_i) / s_i of each of the latents (B, ...), the others at their prior's mean."""
    with evaluating(model), Means(), Given(latents), poutine.trace() as trace:
        model(n=_rows(latents))
    moments = {name: _moments(trace.trace.nodes[name]["fn"]) for name in latents}
    return {name: (z - moments[name][0]) / moments[name][1] for name, z in latents.items()}


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """From a to b (N, ...) at t (N,): directions along the great circle, lengths linearly.

        r(t) [sin((1-t) w) u + sin(t w) v] / sin w,   r(t) = (1-t) |a| + t |b|,

    u and v the directions of a and b, w the angle between them. Opposite directions, which no one circle
    joins, go straight through 0.
    """
    u, v = (nn.functional.normalize(end.flatten(1), dim=1) for end in (a, b))
    t = t[:, None]
    w = (u * v).sum(1, keepdim=True).clamp(-1, 1).acos()
    of_u, of_v = (torch.where(w.sin() > 1e-4, (s * w).sin() / w.sin(), s) for s in (1 - t, t))
    length = torch.lerp(a.flatten(1).norm(dim=1, keepdim=True), b.flatten(1).norm(dim=1, keepdim=True), t)
    return (length * (of_u * u + of_v * v)).view_as(a)


@torch.no_grad()
def layers(model: Any, guide: Any, x: Tensor) -> dict[str, int]:
    """The layer of every latent that has one, by site."""
    with evaluating(model, guide):
        sites = Joint(model, guide, x[:1]).sample()
    return {name: site.layer for name, site in sites.items() if site.layer is not None}


def count_layers(model: Any, guide: Any, x: Tensor) -> int:
    """The number of latent layers, L; 0 of a model without any."""
    return max(layers(model, guide, x).values(), default=0)


class Means(Messenger):
    """Gives every latent the mean of its distribution in place of a draw."""

    def _pyro_sample(self, msg: Any) -> None:
        if msg["value"] is None and msg["name"] != "x" and not site_is_subsample(msg):
            msg["value"] = mean_of(msg["fn"], msg["name"])


class Given(Messenger):
    """Gives the latents that are named their values, each (N, ...).

    Raises:
        UsageError: for a value that is not of its site's shape.
    """

    def __init__(self, latents: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.latents, self.sites = latents, list[str]()

    def _pyro_sample(self, msg: Any) -> None:
        name, fn = msg["name"], msg["fn"]
        if name == "x" or msg["is_observed"] or site_is_subsample(msg):
            return
        self.sites.append(name)
        if name not in self.latents:
            return
        value, shape = self.latents[name], fn.batch_shape + fn.event_shape
        if value.shape != shape:
            raise UsageError(
                f"expected the latent {name!r} of shape {tuple(shape)}; got {tuple(value.shape)}"
            )
        msg["value"] = self.value(fn, value)

    def value(self, prior: Any, given: Tensor) -> Tensor:
        """What the site takes."""
        return given


class FromNoise(Given):
    """Gives the latents that are named m + s e, from their noise e; see `interpolate`."""

    def value(self, prior: Any, given: Tensor) -> Tensor:
        """The latent, m + s e."""
        mean, scale = _moments(prior)
        return mean + scale * given


def _moments(prior: Any) -> tuple[Any, Any]:
    """Mean and standard deviation; 0 and 1 where none are known."""
    try:
        return prior.mean, prior.stddev
    except NotImplementedError:
        return 0.0, 1.0


def _picture(model: Any, n: int, others: AbstractContextManager[Any], given: Given) -> Tensor:
    """E[x | z] (n, C, H, W), some latents being given and others left to a handler."""
    with evaluating(model), others, given, poutine.trace() as trace:
        x = model(n=n)
    unknown = set(given.latents) - set(given.sites)
    if unknown:
        raise UsageError(
            f"the model has no latent {min(unknown)!r}; it has {', '.join(given.sites) or 'none'}"
        )
    return picture(of_images(trace.trace.nodes)["fn"], x)


def _higher(latents: Latents, k: int, of_layer: Mapping[str, int]) -> Latents:
    """Those of layers above k, and those of no layer.

    Raises:
        UsageError: if there are none.
    """
    higher = {name: z for name, z in latents.items() if of_layer.get(name, k + 1) > k}
    if not higher:
        raise UsageError(
            f"there is no latent in a layer above {k}: take a smaller one, or a model with latents"
        )
    return higher


def _rows(latents: Mapping[str, Tensor]) -> int:
    """B.

    Raises:
        UsageError: if there are no latents.
    """
    if not latents:
        raise UsageError(
            "expected at least one latent, {site: (B, ...)}; got none: zoo.sample draws all of them"
        )
    return len(next(iter(latents.values())))
