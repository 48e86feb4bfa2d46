"""The two-level hierarchy under a VampPrior (Tomczak & Welling 2017), arXiv:1705.07120.

p(x, z_1, z_2) = p(z_2) p(z_1 | z_2) p(x | z_1, z_2),   p(z_2) = 1/C sum_c q(z_2 | u_c)
q(z_1, z_2 | x) = q(z_2 | x) q(z_1 | x, z_2)

Three sets of networks: dense (`hvae_vamp`), convolutional (`conv_hvae_vamp`), and convolutional with an
autoregressive likelihood (`pixel_hvae_vamp`). They have 2,431,024, 2,210,861 and 1,385,821 parameters at
28 x 28, and 392,000 of 500 pseudo-inputs. The published code keeps the Bernoullis' means 1e-5 away from 0 and
1; here they are free.
"""

import math
from collections.abc import Callable
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.infer.guides import Guide, no_posterior
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.causal import PlainPixelCNN
from zoo.nn.gated import gated_convolutions, gated_dense
from zoo.nn.layers import Shape, Shaped
from zoo.nn.scales import bounded_scale
from zoo.parts.families import Bernoullis
from zoo.parts.heads import NormalHead
from zoo.parts.likelihoods import AutoregressiveLikelihood, BernoulliLikelihood
from zoo.parts.priors import VampPrior
from zoo.settings import require


class TwoLevelVAE(Program):
    """p(z_2) p(z_1 | z_2) p(x | z_1, z_2); sites ``z_2``, ``z_1`` and ``x``.

    Args:
        prior: called with nothing, returns p(z_2), batch shape ().
        conditional: called with z_2 (B, ...), returns p(z_1 | z_2).
        likelihood: called with (z_1, z_2), returns p(x | z_1, z_2), event shape (C, H, W).
    """

    def __init__(self, prior: nn.Module, conditional: nn.Module, likelihood: nn.Module) -> None:
        super().__init__()
        self.prior, self.conditional, self.likelihood = prior, conditional, likelihood

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        with batch_plate():
            z_2 = latent("z_2", independent_copies(self.prior(), batch_size(x, n)), layer=2)
            z_1 = latent("z_1", self.conditional(z_2), z_2, layer=1)
            return pyro.sample("x", self.likelihood((z_1, z_2)), obs=x)


class TwoLevelGuide(Guide):
    """q(z_2 | x) q(z_1 | x, z_2), answered from the top.

    Args:
        top: head of x, q(z_2 | x).
        features: network of x, for q(z_1 | x, z_2).
        below: head of these features and z_2, q(z_1 | x, z_2).
        model: see `Guide`.
    """

    def __init__(self, top: Any, features: nn.Module, below: nn.Module, *, model: Any = None) -> None:
        super().__init__(model)
        self.top, self.features, self.below = top, features, below

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The parameters of q(z_2 | x), and what q(z_1 | x, z_2) takes of x."""
        return self.top.encode(x), self.features(x)

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(z_2 | x), then q(z_1 | x, z_2).

        Raises:
            ValueError: for another latent.
        """
        if name not in ("z_1", "z_2"):
            raise no_posterior(self, name)
        of_top, of_image = features
        return self.top.distribution(of_top) if name == "z_2" else self.below((of_image, h))


class Joined(nn.Module):
    """Networks of several variables, side by side: (a, b) -> net([first(a), second(b)]).

    Args:
        nets: of each variable, to vectors.
        net: makes a network of the shape of all of them together.
    """

    def __init__(self, *nets: Any, net: Callable[[Shape], Any]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.net = net((sum(n.out_shape[0] for n in nets),))
        self.out_shape = self.net.out_shape

    def forward(self, variables: tuple[Tensor, ...]) -> Tensor:
        """Features of all of them."""
        features = [net(v) for net, v in zip(self.nets, variables, strict=True)]
        return self.net(torch.cat(features, dim=1))


def hvae_vamp(
    image_shape: Shape,
    *,
    latents: tuple[int, ...] = (40, 40),
    hidden: int = 300,
    num_pseudo_inputs: int = 500,
) -> tuple[TwoLevelVAE, TwoLevelGuide]:
    """The hierarchy with dense networks: model and guide.

    Args:
        image_shape: (C, H, W).
        latents: sizes of z_1 and z_2.
        hidden: width of every gated layer.
        num_pseudo_inputs: C, the components of the prior.

    Raises:
        UsageError: unless there are two sizes.
    """
    return _pair(
        image_shape,
        latents,
        hidden,
        num_pseudo_inputs,
        top=gated_dense(image_shape, (hidden, hidden)),
        features=gated_dense(image_shape, (hidden,)),
        likelihood=BernoulliLikelihood(_of_both(latents, hidden, (hidden,)), image_shape),
    )


def conv_hvae_vamp(
    image_shape: Shape,
    *,
    latents: tuple[int, ...] = (40, 40),
    hidden: int = 300,
    channels: tuple[int, ...] = (32, 32, 64, 64),
    num_pseudo_inputs: int = 500,
) -> tuple[TwoLevelVAE, TwoLevelGuide]:
    """The hierarchy with convolutional networks: model and guide.

    Args:
        image_shape: (C, H, W).
        latents: sizes of z_1 and z_2.
        hidden: width of every gated dense layer.
        channels: of the encoders' four gated convolutions, the second and fourth of stride 2; a fifth has 6.
            The decoder has as many as the last of them.
        num_pseudo_inputs: C, the components of the prior.

    Raises:
        UsageError: unless there are two sizes and four numbers of channels.
    """
    top, features = _encoders(image_shape, channels)
    _, height, width = image_shape
    decoder = Shaped(
        (channels[-1], height, width),
        _of_both(latents, hidden, (height * width,)),
        nn.Unflatten(1, (1, height, width)),
        gated_convolutions((1, height, width), [(channels[-1], 3, 1)] * 4),
    )
    return _pair(
        image_shape,
        latents,
        hidden,
        num_pseudo_inputs,
        top=top,
        features=features,
        likelihood=BernoulliLikelihood(decoder, image_shape),
    )


def pixel_hvae_vamp(
    image_shape: Shape,
    *,
    latents: tuple[int, ...] = (40, 40),
    hidden: int = 300,
    channels: tuple[int, ...] = (32, 32, 64, 64),
    layers: int = 8,
    num_pseudo_inputs: int = 500,
) -> tuple[TwoLevelVAE, TwoLevelGuide]:
    """The hierarchy with an autoregressive likelihood, PixelHVAE: model and guide.

    In the published code the masks also hide the latents' maps; here a pixel sees all of them around it. The
    weights that a mask hides are not stored: 86,208 of the published count.

    Args:
        image_shape: (C, H, W).
        latents: sizes of z_1 and z_2.
        hidden: width of every gated dense layer.
        channels: of the encoders' convolutions, see `conv_hvae_vamp`; the last also of the masked ones.
        layers: number of masked convolutions.
        num_pseudo_inputs: C, the components of the prior.

    Raises:
        UsageError: unless there are two sizes and four numbers of channels.
    """
    top, features = _encoders(image_shape, channels)
    family = Bernoullis(image_shape[0])
    maps = Maps(latents, image_shape[1:])
    network = PlainPixelCNN(
        image_shape, family.size, channels=channels[-1], layers=layers, context=maps.out_shape
    )
    return _pair(
        image_shape,
        latents,
        hidden,
        num_pseudo_inputs,
        top=top,
        features=features,
        likelihood=AutoregressiveLikelihood(network, family, net=maps),
    )


class Maps(nn.Module):
    """Every variable as a map of the image's resolution: ((B, D), ...) -> (B, variables, H, W)."""

    def __init__(self, latents: tuple[int, ...], size: Shape) -> None:
        super().__init__()
        self.nets = nn.ModuleList(gated_dense((d,), (math.prod(size),)) for d in latents)
        self.out_shape = (len(latents), *size)

    def forward(self, variables: tuple[Tensor, ...]) -> Tensor:
        """The maps, one per channel."""
        maps = [net(z) for net, z in zip(self.nets, variables, strict=True)]
        return torch.stack(maps, dim=1).unflatten(2, self.out_shape[1:])


def _pair(
    image_shape: Shape,
    latents: tuple[int, ...],
    hidden: int,
    num_pseudo_inputs: int,
    *,
    top: Any,
    features: Any,
    likelihood: nn.Module,
) -> tuple[TwoLevelVAE, TwoLevelGuide]:
    """What the three have in common; `top` and `features` are the networks of x for z_2 and for z_1."""
    require(len(latents) == 2, "two sizes in latents, of z_1 and z_2", latents)
    z_1, z_2 = latents
    head = NormalHead(top, z_2, scale=bounded_scale)
    prior = VampPrior(z_2, posterior=head, image_shape=image_shape, num_pseudo_inputs=num_pseudo_inputs)
    conditional = NormalHead(gated_dense((z_2,), (hidden, hidden)), z_1, scale=bounded_scale)
    same = Shaped(features.out_shape)
    of_z_2 = gated_dense((z_2,), features.out_shape)
    both = Joined(same, of_z_2, net=lambda shape: gated_dense(shape, (hidden,)))
    model = TwoLevelVAE(prior, conditional, likelihood)
    guide = TwoLevelGuide(head, features, NormalHead(both, z_1, scale=bounded_scale), model=model)
    return model, guide


def _encoders(image_shape: Shape, channels: tuple[int, ...]) -> tuple[Shaped, Shaped]:
    """Convolutions for q(z_2 | x), of wider windows, and for q(z_1 | x, z_2), to vectors."""
    return _encoder(image_shape, channels, (7, 3, 5, 3)), _encoder(image_shape, channels, (3, 3, 3, 3))


def _encoder(image_shape: Shape, channels: tuple[int, ...], kernels: tuple[int, ...]) -> Shaped:
    require(len(channels) == 4, "four numbers in channels, of the encoders' convolutions", channels)
    layers = [*zip(channels, kernels, (1, 2, 1, 2), strict=True), (6, 3, 1)]
    maps = gated_convolutions(image_shape, layers)
    return Shaped((math.prod(maps.out_shape),), maps, nn.Flatten())


def _of_both(latents: tuple[int, ...], hidden: int, widths: tuple[int, ...]) -> Joined:
    """Features of (z_1, z_2)."""
    nets = [gated_dense((d,), (hidden,)) for d in latents]
    return Joined(*nets, net=lambda shape: gated_dense(shape, widths))
