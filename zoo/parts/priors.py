"""Priors: modules that, called with nothing, return a Pyro distribution over z, batch shape ()."""

from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn.functional import hardtanh

from distributions import Logistic, NormalMixture, StationaryAR1
from distributions.base_normal import base_normal
from flows.builders import maf
from flows.transformed import Transformed, transformed
from zoo.conversion import Odd
from zoo.nn.causal import GatedPixelCNN
from zoo.parts.families import Normals
from zoo.parts.likelihoods import AutoregressiveLikelihood


class Standard(nn.Module):
    """A family at location 0 and scale 1, in every dimension of the latent.

    Args:
        family: of location and scale.
        latent: D for a vector, or the shape of a feature map (D, H, W).
    """

    loc: torch.Tensor
    scale: torch.Tensor

    def __init__(self, family: Any, latent: int | Sequence[int]) -> None:
        super().__init__()
        shape = _event_shape(latent)
        self.family = family
        self.register_buffer("loc", torch.zeros(shape), persistent=False)
        self.register_buffer("scale", torch.ones(shape), persistent=False)

    def forward(self) -> Any:
        """p(z), event shape `latent`."""
        return self.family(self.loc, self.scale).to_event(self.loc.dim())


class StandardNormal(Standard):
    """p(z) = N(0, I).

    Args:
        latent: D for a vector, or the shape of a feature map (D, H, W).
    """

    def __init__(self, latent: int | Sequence[int]) -> None:
        super().__init__(dist.Normal, latent)


class StandardLogistic(Standard):
    """p(z) = prod_i Logistic(z_i; 0, 1), that of the logit of a uniform variable (NICE, arXiv:1410.8516).

    Args:
        latent: D for a vector, or the shape of a feature map (D, H, W).
    """

    def __init__(self, latent: int | Sequence[int]) -> None:
        super().__init__(Logistic, latent)


class LearnedNormal(nn.Module):
    """p(z) = N(loc, diag(exp(log_scale)^2)) with learned loc and log_scale, at first N(0, I).

    Args:
        latent: D for a vector, or the shape of a feature map (D, H, W).
    """

    def __init__(self, latent: int | Sequence[int]) -> None:
        super().__init__()
        shape = _event_shape(latent)
        self.loc = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def forward(self) -> Any:
        """p(z), event shape `latent`."""
        return dist.Normal(self.loc, self.log_scale.exp()).to_event(self.loc.dim())


class MixtureOfGaussians(nn.Module):
    """p(z) = sum_c pi_c N(z; loc_c, diag(scale_c^2)), all of it learned.

    At first the weights are equal, the scales 1 and the locations draws from N(0, I).

    Args:
        latent: D for a vector, or the shape of a feature map (D, H, W).
        components: C, their number.

    Raises:
        ValueError: without components.
    """

    def __init__(self, latent: int | Sequence[int], *, components: int = 10) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"expected at least one component; got {components}")
        shape = (components, *_event_shape(latent))
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def forward(self) -> NormalMixture:
        """p(z), event shape `latent`."""
        return NormalMixture(self.logits, self.loc, self.log_scale.exp())


class VampPrior(nn.Module):
    """p(z) = 1/C sum_c q(z | u_c): the posterior at learned pseudo-inputs u_c (arXiv:1705.07120).

    The head is the guide's own and not a copy: its parameters are shared, and the prior's gradient reaches
    them too. So copy the model and the guide together, ``copy.deepcopy((model, guide))``.
    The head runs on the C pseudo-inputs once per call of the model, however many samples it draws. The KL
    has no closed form; KL(q(z | x) || p(z)) <= log C at x = u_c.

    Args:
        latent: D for a vector, or the shape of a feature map (D, H, W), the same as the posterior's.
        posterior: the guide's head, called with images (C, *image_shape), returns q(z | u).
        image_shape: (C, H, W).
        num_pseudo_inputs: C, the number of components.
        takes: the encoding of the images (`zoo.data.encodings`), which bounds the pseudo-inputs: -1 .. 1 for
            "grid", otherwise 0 .. 1.
        starts_at_images: whether a run starts the pseudo-inputs at training images, see `start_at`.

    Raises:
        ValueError: without pseudo-inputs, or if `posterior` is of another shape.
    """

    def __init__(
        self,
        latent: int | Sequence[int],
        *,
        posterior: Any,
        image_shape: Sequence[int],
        num_pseudo_inputs: int = 500,
        takes: str = "binary",
        starts_at_images: bool = False,
    ) -> None:
        super().__init__()
        self.starts_at_images = starts_at_images
        if num_pseudo_inputs < 1:
            raise ValueError(f"expected at least one pseudo-input; got {num_pseudo_inputs}")
        shape = _event_shape(latent)
        of_posterior = getattr(posterior, "event_shape", shape)
        if tuple(of_posterior) != shape:
            raise ValueError(f"expected a posterior over a latent of shape {shape}; got {of_posterior}")
        self.posterior: Any = posterior
        self.low = -1.0 if takes == "grid" else 0.0
        unit = 0.05 + 0.01 * torch.randn(num_pseudo_inputs, *image_shape)  # as published: dark images
        self.raw = nn.Parameter(self.low + unit * (1 - self.low))

    @property
    def pseudo_inputs(self) -> Tensor:
        """u, (C, *image_shape); without gradient at and beyond the ends of the interval."""
        return hardtanh(self.raw, self.low, 1.0)  # the gradient of a clamp takes four passes

    @torch.no_grad()
    def start_at(self, images: Tensor, *, std: float = 0.01) -> None:
        """Start the pseudo-inputs at the first C of the images (N, *image_shape), with some noise.

        Raises:
            ValueError: if there are too few images.
        """
        if len(images) < len(self.raw):
            raise ValueError(f"expected at least {len(self.raw)} images to start at; got {len(images)}")
        start = images[: len(self.raw)].to(self.raw)
        self.raw.copy_(start + std * torch.randn_like(start))

    def forward(self) -> Any:
        """p(z), batch shape (): a `NormalMixture` for normal posteriors, otherwise Pyro's mixture."""
        q = self.posterior(self.pseudo_inputs)
        equal = torch.zeros(len(self.raw), dtype=self.raw.dtype, device=self.raw.device)
        try:
            normal = base_normal(q)
        except TypeError:
            return dist.MixtureSameFamily(dist.Categorical(logits=equal), q)
        return NormalMixture(equal, normal.loc, normal.scale)


class AR1Prior(nn.Module):
    """p(z) of delta-VAE: fixed autoregressions along T, one per dimension; see `distributions.StationaryAR1`.

    Args:
        latent: (D, T).
        slowest: a of the first dimension; the others' go down evenly.
        fastest: a of the last dimension.

    Raises:
        ValueError: if the latent is not (D, T) with T >= 2, or a rate is not in [0, 1).
    """

    rates: Tensor

    def __init__(self, latent: Sequence[int], *, slowest: float = 0.97, fastest: float = 0.5) -> None:
        super().__init__()
        if isinstance(latent, int) or len(latent) != 2 or latent[1] < 2:
            raise ValueError(f"expected a latent of shape (D, T), T >= 2; got {latent}")
        if not 0 <= fastest <= slowest < 1:
            raise ValueError(f"expected 0 <= fastest <= slowest < 1; got {fastest} and {slowest}")
        size, self.steps = _event_shape(latent)
        self.register_buffer("rates", torch.linspace(slowest, fastest, size), persistent=False)

    def forward(self) -> StationaryAR1:
        """p(z), event shape (D, T)."""
        return StationaryAR1(self.rates, self.steps)


def maf_prior(latent: int, *, layers: int = 2, hidden: tuple[int, ...] = (64, 64)) -> Transformed:
    """p(z) of a masked autoregressive flow of a standard normal (arXiv:1705.07057).

    Args:
        latent: D.
        layers: number of layers.
        hidden: widths of each layer's network.

    Raises:
        ValueError: if the latent is a map.
    """
    if not isinstance(latent, int):
        raise ValueError(f"expected a latent vector for flows, spatial=false; got a map of shape {latent}")
    return transformed(StandardNormal(latent), maf(latent, layers=layers, hidden=hidden))


def pixelcnn_prior(
    latent: Sequence[int], *, channels: int = 32, layers: int = 3, kernel: Odd = 3
) -> AutoregressiveLikelihood:
    """p(z) of a latent map by a Gated PixelCNN (arXiv:1606.05328), normal given the positions before.

    Args:
        latent: (D, H, W).
        channels: of the hidden layers.
        layers: number of layers, of both stacks.
        kernel: of the first layer, odd.

    Raises:
        ValueError: if the latent is a vector.
    """
    if isinstance(latent, int):
        raise ValueError(f"expected a latent map for a PixelCNN prior, spatial=true; got a vector, {latent}")
    family = Normals(latent[0])
    network = GatedPixelCNN(latent, family.size, channels=channels, layers=layers, kernel=kernel)
    return AutoregressiveLikelihood(network, family)


def _event_shape(latent: int | Sequence[int]) -> tuple[int, ...]:
    shape = (latent,) if isinstance(latent, int) else tuple(latent)
    if not shape or any(size < 1 for size in shape):
        raise ValueError(f"expected a latent of positive size, D or (D, H, W); got {latent}")
    return shape
