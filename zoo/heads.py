"""Heads: modules that, called with b, return a Pyro distribution over a, p(a | b).

A head may tell what of it depends on b alone: ``encode(b)`` returns tensors with b's batch dimension and
``distribution(encode(b))`` is ``head(b)``. Then importance sampling runs its network once an image,
however many samples it draws. Any callable without these two works as well, only slower.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pyro.distributions as dist
from torch import Tensor, nn

from zoo.nn.layers import project
from zoo.nn.scales import softplus_scale


class NormalHead(nn.Module):
    r"""N(loc(b), scale(b)^2), independent in every dimension of the latent.

    [loc, raw] = project(net(b)), scale = `scale`(raw).

    Args:
        net: network with an attribute ``out_shape`` (C, H, W): b to features.
        latent: D for a vector, or (D, H, W) for a feature map of the same resolution.
        scale: from real numbers to standard deviations; softplus by default, so raw = 0 gives 1.

    Shapes: b (B, ...) as `net` takes it; batch shape (B,), event shape `latent`.
    """

    def __init__(
        self,
        net: Any,
        latent: int | Sequence[int],
        *,
        scale: Callable[[Tensor], Tensor] = softplus_scale,
    ) -> None:
        super().__init__()
        self.event_shape = (latent,) if isinstance(latent, int) else tuple(latent)
        self.net = net
        self.project = project(net.out_shape, (2 * self.event_shape[0], *self.event_shape[1:]))
        self.scale = scale

    def encode(self, b: Tensor) -> Tensor:
        """The 2D parameters, (B, 2D) or (B, 2D, H, W)."""
        return self.project(self.net(b))

    def distribution(self, parameters: Tensor) -> Any:
        """The normal with these parameters."""
        loc, raw = parameters.chunk(2, dim=1)
        return dist.Normal(loc, self.scale(raw)).to_event(len(self.event_shape))

    def forward(self, b: Tensor) -> Any:
        """p(a | b)."""
        return self.distribution(self.encode(b))


class Transformed(nn.Module):
    """A head, prior or posterior pushed through flows: a = f_n(... f_1(a_0)), a_0 ~ part(b).

    Args:
        part: a head or a prior.
        flows: `flows` transforms, modules, the first of them applied first.
    """

    def __init__(self, part: Any, flows: Sequence[Any]) -> None:
        super().__init__()
        self.part = part
        self.flows = nn.ModuleList(flows)

    def encode(self, b: Tensor) -> Any:
        """What the part makes of b alone."""
        return encoded(self.part, b)

    def distribution(self, features: Any) -> Any:
        """The transformed distribution with these features of b."""
        return self._push(distribution_of(self.part, features))

    def forward(self, *b: Tensor) -> Any:
        """p(a | b), or p(a) of a prior."""
        return self._push(self.part(*b))

    def _push(self, base: Any) -> Any:
        return dist.TransformedDistribution(base, list(self.flows))


def transformed(part: Any, flows: Sequence[Any]) -> Transformed:
    """Wrap a prior or a posterior in flows; see `Transformed`."""
    return Transformed(part, flows)


def encoded(head: Any, b: Tensor) -> Any:
    """What `head` can compute from b before it is sampled; b itself where it does not say."""
    return head.encode(b) if _is_split(head) else b


def distribution_of(head: Any, features: Any) -> Any:
    """The distribution of `head` from what `encoded` returned."""
    return head.distribution(features) if _is_split(head) else head(features)


def _is_split(head: Any) -> bool:
    return hasattr(head, "encode") and hasattr(head, "distribution")
