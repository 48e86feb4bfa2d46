"""Heads: modules that, called with b, return a Pyro distribution over a, p(a | b).

A head may separate the part that depends on b only: ``encode(b)`` returns tensors with b's batch dimension
and ``distribution(encode(b))`` is ``head(b)``. Then importance sampling runs its network once per image,
however many samples it draws. Any callable without these two works as well, only slower.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from distributions.copies import independent_copies
from flows.dequantization import VariationalDequantization, uniform_noise
from flows.transformed import Transformed as Transformed
from flows.transformed import distribution_of as distribution_of
from flows.transformed import encoded as encoded
from flows.transformed import transformed as transformed
from zoo.nn.layers import Shape, out_shape_of, project
from zoo.nn.scales import softplus_scale


class NormalHead(nn.Module):
    r"""N(loc(b), scale(b)^2), independent in every dimension of the latent.

    [loc, raw] = project(net(b)), scale = `scale`(raw).

    Args:
        net: network with an attribute ``out_shape`` (C, H, W): b to features.
        latent: D for a vector, or (D, H, W) for a feature map of the same resolution.
        scale: from real numbers to standard deviations; softplus by default, so raw = 0 gives 1.
        kernel: of the convolution to a feature map's parameters; as large as the map, it sees all of it.

    Shapes: b (B, ...) as `net` takes it; batch shape (B,), event shape `latent`.
    """

    def __init__(
        self,
        net: Any,
        latent: int | Sequence[int],
        *,
        scale: Callable[[Tensor], Tensor] = softplus_scale,
        kernel: int | tuple[int, int] = 1,
    ) -> None:
        super().__init__()
        self.event_shape = (latent,) if isinstance(latent, int) else tuple(latent)
        self.net = net
        parameters = (2 * self.event_shape[0], *self.event_shape[1:])
        self.project = project(out_shape_of(net), parameters, kernel=kernel)
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


class SequenceHead(NormalHead):
    r"""N(loc_t(b), scale_t(b)^2) for every step t of a sequence, from the features of step t only.

    Args:
        net: network with ``out_shape`` (C, T, 1): b to features.
        latent: (D, T).
        scale: see `NormalHead`.

    Shapes: b (B, ...) as `net` takes it; batch shape (B,), event shape (D, T).

    Raises:
        ValueError: for a latent of another shape.
    """

    def __init__(
        self, net: Any, latent: Sequence[int], *, scale: Callable[[Tensor], Tensor] = softplus_scale
    ) -> None:
        if isinstance(latent, int) or len(latent) != 2:
            raise ValueError(f"expected a latent of shape (D, T); got {latent}")
        super().__init__(net, (*latent, 1), scale=scale)
        self.event_shape = tuple(latent)

    def encode(self, b: Tensor) -> Tensor:
        """The 2D parameters of every step, (B, 2D, T)."""
        return super().encode(b).squeeze(-1)


class FullCovarianceHead(nn.Module):
    r"""N(loc(b), L(b) L(b)^T), L lower triangular with a positive diagonal.

    [loc, raw, lower] = project(net(b)), diag L = softplus_scale(raw), below it L = lower: of D (D + 3) / 2
    parameters in all.

    Args:
        net: network with an attribute ``out_shape``: b to features.
        latent: D.

    Shapes: b (B, ...) as `net` takes it; batch shape (B,), event shape (D,).

    Raises:
        ValueError: if the latent is a map.
    """

    def __init__(self, net: Any, latent: int) -> None:
        super().__init__()
        if not isinstance(latent, int):
            raise ValueError(
                f"expected a latent vector for a full covariance, spatial=false; got a map of shape {latent}"
            )
        self.event_shape = (latent,)
        self.net = net
        self.project = project(out_shape_of(net), (latent * (latent + 3) // 2,))

    def encode(self, b: Tensor) -> Tensor:
        """The parameters, (B, D (D + 3) / 2)."""
        return self.project(self.net(b))

    def distribution(self, parameters: Tensor) -> Any:
        """The normal with these parameters."""
        d = self.event_shape[0]
        loc, raw, lower = parameters.split([d, d, d * (d - 1) // 2], dim=1)
        rows, columns = torch.tril_indices(d, d, -1, device=parameters.device)
        below = loc.new_zeros(*loc.shape, d)
        below[:, rows, columns] = lower
        scale_tril = below + torch.diag_embed(softplus_scale(raw))
        return dist.MultivariateNormal(loc, scale_tril=scale_tril)

    def forward(self, b: Tensor) -> Any:
        """p(a | b)."""
        return self.distribution(self.encode(b))


class Features(nn.Identity):
    """Features that a network has already computed, in the place of a head's network; see `WithEncoder`.

    Args:
        out_shape: (C, H, W) or (D,).
    """

    def __init__(self, out_shape: Shape) -> None:
        super().__init__()
        self.out_shape = tuple(out_shape)


class WithEncoder(nn.Module):
    """A head of net(b), the network run once per image for all that the head computes from it.

    A posterior and the context of its flows can share an encoder:

        head = NormalHead(Features(net.out_shape), D)
        WithEncoder(net, transformed(head, flows, context=project(net.out_shape, (K,))))

    Args:
        net: b to features.
        head: called with these.
    """

    def __init__(self, net: Any, head: Any) -> None:
        super().__init__()
        self.net, self.head = net, head

    def encode(self, b: Tensor) -> Any:
        """What the head computes from net(b)."""
        return encoded(self.head, self.net(b))

    def distribution(self, features: Any) -> Any:
        """The head's distribution with these features."""
        return distribution_of(self.head, features)

    def forward(self, b: Tensor) -> Any:
        """p(a | b)."""
        return self.head(self.net(b))


class ImageConditioned(nn.Module):
    """A head of an image x and a vector b: head([net(x), b]).

    Args:
        net: x to features (B, F).
        head: called with (B, F + D).
    """

    def __init__(self, net: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.net, self.head = net, head

    def forward(self, x: Tensor, b: Tensor) -> Any:
        """p(a | x, b)."""
        return self.head(torch.cat([self.net(x), b], dim=1))


class Unconditional(nn.Module):
    """A prior in the place of a head: the same distribution whatever b is.

    Args:
        prior: called with nothing, returns a distribution of batch shape ().
    """

    def __init__(self, prior: Any) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, b: Tensor) -> Any:
        """p(a), batch shape (B,)."""
        return independent_copies(self.prior(), len(b))


class DequantizationHead(nn.Module):
    """q(y | x) of the continuous y behind an image x: noise in the bin of x (`flows.dequantization`).

    Args:
        levels: of the images.
        noise: called with x (B, C, H, W), returns a distribution over (0, 1)^D of event shape (C, H, W);
            uniform noise by default.
    """

    def __init__(self, levels: int, *, noise: Any = None) -> None:
        super().__init__()
        self.levels, self.noise = levels, uniform_noise if noise is None else noise

    def encode(self, x: Tensor) -> Any:
        """The images, and what the noise depends on."""
        return x, encoded(self.noise, x)

    def distribution(self, features: Any) -> VariationalDequantization:
        """q(y | x), batch shape (B,)."""
        x, of_noise = features
        return VariationalDequantization(x, self.levels, distribution_of(self.noise, of_noise))

    def forward(self, x: Tensor) -> VariationalDequantization:
        """q(y | x), batch shape (B,)."""
        return self.distribution(self.encode(x))
