"""Posteriors q(z | x) by a flow of a normal, from an encoder and the size of z.

    z_0 ~ N(mu(x), diag(sigma(x)^2)),   z = f(z_0; h(x)),   log q(z | x) = log q(z_0 | x) - log |det df/dz_0|

One pass of the encoder gives mu, sigma and the context h, of which the flow's parameters are functions
(arXiv:1606.04934, Algorithm 1, for inverse autoregressive layers). Posteriors without a flow are heads.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from torch import Tensor

from flows.builders import iaf, planar, sylvester
from flows.householder import Householder
from flows.transformed import transformed
from zoo.nn.layers import out_shape_of, project
from zoo.nn.scales import softplus_scale
from zoo.parts.heads import Features, NormalHead, WithEncoder
from zoo.settings import passes_on


def normal_with_flow(
    net: Any, latent: int, flow: Any, *, scale: Callable[[Tensor], Tensor] = softplus_scale
) -> WithEncoder:
    """A normal with any flow on top.

    Args:
        net: encoder with an attribute ``out_shape``.
        latent: D.
        flow: on vectors of D, with a context.
        scale: of z_0, see `zoo.NormalHead`.
    """
    normal = NormalHead(Features(out_shape_of(net)), latent, scale=scale)
    return WithEncoder(net, transformed(normal, flow, context=project(net.out_shape, flow.context_shape)))


@passes_on(normal_with_flow)
def _made_for(
    net: Any, latent: int, build: Callable[..., Any], *, context: int = 32, **options: Any
) -> WithEncoder:
    """`normal_with_flow` with a flow made for it, ``build(D, context=K)``.

    Args:
        net: encoder with an attribute ``out_shape``.
        latent: D.
        build: makes the flow.
        context: K, size of h(x).
        options: of `normal_with_flow`.

    Raises:
        ValueError: if the latent is a map.
    """
    if not isinstance(latent, int):
        raise ValueError(f"expected a latent vector for flows, spatial=false; got a map of shape {latent}")
    return normal_with_flow(net, latent, build(latent, context=context), **options)


@passes_on(_made_for)
def iaf_posterior(
    net: Any, latent: int, *, layers: int = 2, hidden: tuple[int, ...] = (64, 64), **options: Any
) -> WithEncoder:
    """Inverse autoregressive layers (arXiv:1606.04934).

    Args:
        net: encoder with an attribute ``out_shape``.
        latent: D.
        layers: number of layers.
        hidden: widths of each layer's network.
        options: ``context``, the size of h(x), and ``scale``, see `normal_with_flow`.

    Raises:
        ValueError: if the latent is a map.
    """
    return _made_for(net, latent, partial(iaf, layers=layers, hidden=hidden), **options)


@passes_on(_made_for)
def planar_posterior(net: Any, latent: int, *, layers: int = 8, **options: Any) -> WithEncoder:
    """Planar layers (arXiv:1505.05770), all parameters linear in h(x).

    Args:
        net: encoder with an attribute ``out_shape``.
        latent: D.
        layers: number of layers.
        options: ``context``, the size of h(x), and ``scale``, see `normal_with_flow`.

    Raises:
        ValueError: if the latent is a map.
    """
    return _made_for(net, latent, partial(planar, layers=layers), **options)


@passes_on(_made_for)
def householder_posterior(net: Any, latent: int, *, reflections: int = 10, **options: Any) -> WithEncoder:
    """Reflections (arXiv:1611.09630), their vectors linear in h(x): a normal of covariance Q diag(s^2) Q^T.

    Args:
        net: encoder with an attribute ``out_shape``.
        latent: D.
        reflections: number of reflections.
        options: ``context``, the size of h(x), and ``scale``, see `normal_with_flow`.

    Raises:
        ValueError: if the latent is a map.
    """
    return _made_for(net, latent, partial(Householder, reflections=reflections), **options)


@passes_on(_made_for)
def sylvester_posterior(
    net: Any,
    latent: int,
    *,
    layers: int = 4,
    basis: Literal["orthogonal", "reflections", "axes"] = "orthogonal",
    columns: int = 8,
    **options: Any,
) -> WithEncoder:
    """Sylvester flows (arXiv:1803.05649), all parameters linear in h(x).

    Args:
        net: encoder with an attribute ``out_shape``.
        latent: D.
        layers: number of layers.
        basis: of Q: orthogonal columns (O-SNF), reflections (H-SNF), or axes (T-SNF).
        columns: of Q, D at most; or the number of reflections.
        options: ``context``, the size of h(x), and ``scale``, see `normal_with_flow`.

    Raises:
        ValueError: if the latent is a map.
    """
    flow = partial(sylvester, layers=layers, basis=basis, columns=columns)
    return _made_for(net, latent, flow, **options)
