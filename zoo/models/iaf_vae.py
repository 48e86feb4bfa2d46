"""IAF-VAE: a ResNet VAE with inverse autoregressive flows (Kingma et al. 2016), arXiv:1606.04934, section 4.

p(x, z)  = p(x | z) p(z_L) prod_{i<L} p(z_i | z_>i)
q(z | x) = prod_i q(z_i | x, z_>i)

Both passes of the inference network, up and down, contribute to every posterior (bidirectional inference);
the down pass is the model's own (`zoo.models.residual_hierarchy`). d are the encoder's features, h the state:

    up      [mu_q, log sigma_q, c_q, u] = conv(elu(d));                        d = d + 0.1 conv(elu(u))
    down    [mu_p, log sigma_p, mu_r, log sigma_r, c_r, v] = conv(elu(h));     h = h + 0.1 conv([z, elu(v)])
    q       z_0 ~ N(mu_q + mu_r, exp(log sigma_q + log sigma_r)^2),  z = IAF(z_0; c_q + c_r)
    p       N(mu_p, exp(log sigma_p)^2)

An IAF is a stack of masked 3x3 convolutions: z = z_0 exp(s) + t, s and t of an element determined by the
elements before it (the published code's m and s are -t exp(-s) and -s). Every log scale is bounded: s by 3,
those of the normals by 10. Convolutions are weight-normalised with a log gain; they begin as PyTorch's do,
where the published code has data-dependent initialisation. Where the resolution grows the state is repeated
and convolved, where the published code has transposed convolutions.
"""

from typing import Any

import torch
from torch import Tensor, nn

from distributions import TransformedDistribution
from flows import Autoregressive
from flows.univariate import Affine
from zoo.choices import Family
from zoo.models.residual_hierarchy import ResidualGuide, ResidualHierarchy, bounded_normal
from zoo.nn import checkpointed
from zoo.nn.activations import ELU, elu
from zoo.nn.cells import Crop, PaddedImage, convolution
from zoo.nn.layers import Shape
from zoo.nn.masked_cell import MaskedNet
from zoo.nn.weight_norm import WeightNormConvTranspose2d
from zoo.parts.families import Bernoullis
from zoo.parts.likelihoods import FamilyLikelihood
from zoo.settings import construct


class IAFVAE(ResidualHierarchy):
    """p(x, z): the generative half; see `zoo.models.residual_hierarchy.ResidualHierarchy`."""


class IAFVAEGuide(ResidualGuide):
    """q(z | x); see `zoo.models.residual_hierarchy.ResidualGuide`."""


class Up(nn.Module):
    """Layer i of the encoder.

    Args:
        width: channels of its features.
        sizes: of mu_q, log sigma_q and c_q.
        stride: 2 where it halves the resolution.
        top: whether there is no layer above, and so no u (the published code has one there, without use).
    """

    def __init__(self, width: int, sizes: list[int], *, stride: int = 1, top: bool = False) -> None:
        super().__init__()
        self.sizes, self.stride = [*sizes, 0 if top else width], stride
        self.first = convolution(width, sum(self.sizes), 3, stride=stride)
        self.second = None if top else convolution(width, width, 3)

    def forward(self, d: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The features further up, and mu_q, log sigma_q and c_q."""
        *parameters, u = self.first(elu(d)).split(self.sizes, dim=1)
        d = d[:, :, :: self.stride, :: self.stride]
        return d if self.second is None else d + 0.1 * self.second(elu(u)), parameters


class Encoder(nn.Module):
    """Images to the encoder's share of every posterior's parameters, layer 1 first.

    Args:
        image: pads and scales them.
        stem: halves the resolution.
        layers: 1 ... L.
    """

    def __init__(self, image: PaddedImage, stem: nn.Module, layers: list[Up]) -> None:
        super().__init__()
        self.image, self.stem = image, stem
        self.layers: Any = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """mu_q, log sigma_q and c_q, 1 ... L."""
        d, parameters = self.stem(self.image(x)), []
        for layer in self.layers:
            d, of_layer = layer(d)
            parameters.append(of_layer)
        return parameters


class Down(nn.Module):
    """Layer i of the model.

    Args:
        shape: (C, H, W) of the state.
        latent: channels of z_i.
        context: channels of c_r.
        grow: whether it doubles the resolution.
    """

    def __init__(self, shape: Shape, latent: int, context: int, *, grow: bool = False) -> None:
        super().__init__()
        width = shape[0]
        self.event_shape = (latent, *shape[1:])
        self.sizes = [latent, latent, latent, latent, context, width]
        self.first = convolution(width, sum(self.sizes), 3)
        self.second = convolution(latent + width, width, 3)
        self.grow = nn.Upsample(scale_factor=2) if grow else nn.Identity()

    def prior(self, h: Tensor) -> tuple[Any, Any, list[Tensor]]:
        """The state and v, p(z_i | z_>i), and mu_r, log sigma_r and c_r."""
        loc, log_scale, *shown, v = self.first(elu(h)).split(self.sizes, dim=1)
        return (h, v), bounded_normal(loc, log_scale), shown

    def update(self, h: tuple[Tensor, Tensor], z: Tensor) -> Tensor:
        """The state with z_i in it."""
        state, v = h
        return self.grow(state) + 0.1 * self.second(self.grow(torch.cat([z, elu(v)], dim=1)))


class LayerPosterior(nn.Module):
    """q(z_i | x, z_>i) from the features of both passes, transformed by flows where there are any.

    Args:
        flows: on z_i, each conditional on the context.
    """

    def __init__(self, flows: list[Any]) -> None:
        super().__init__()
        self.flows: Any = nn.ModuleList(flows)

    def forward(self, prior: Any, down: list[Tensor], up: list[Tensor]) -> Any:
        """The posterior; it does not see the prior."""
        loc, log_scale, context = (a + b for a, b in zip(up, down, strict=True))
        q = bounded_normal(loc, log_scale)
        flows = [flow.condition(context) for flow in self.flows]
        return TransformedDistribution(q, flows) if flows else q


class TiledVector(nn.Module):
    """The state at the top: one learned vector, the same for every pixel and image.

    Args:
        shape: (C, H, W).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.value = nn.Parameter(torch.zeros(shape[0]))

    def forward(self, n: int) -> Tensor:
        """(n, C, H, W)."""
        return self.value[:, None, None].expand(n, *self.shape)


def iaf_vae(
    image_shape: Shape,
    *,
    blocks: tuple[int, ...] = (2, 2),
    width: int = 32,
    latent: int = 8,
    flows: int = 1,
    hidden: tuple[int, ...] = (32, 32),
    likelihood: Family = Bernoullis,
    checkpoint_activations: bool = False,
) -> tuple[IAFVAE, IAFVAEGuide]:
    """IAF-VAE: model and guide.

    Args:
        image_shape: (C, H, W); padded until every scale is half the one below, the first half the image.
        blocks: per scale, the scale nearest the image first; every block has a latent.
        width: channels of the state and of the features.
        latent: channels of every z_i.
        flows: number of flows on every posterior, of alternating order; 0 for diagonal normals.
        hidden: channels of a flow's masked convolutions.
        likelihood: makes the family of the pixels from their number of channels (`zoo.parts.families`).
        checkpoint_activations: less memory in training, for a second forward pass.

    Raises:
        ValueError: unless there is a block on every scale, and a hidden layer.
    """
    if not blocks or min(blocks) < 1 or not hidden:
        raise ValueError(f"expected a block on every scale, and hidden layers; got {blocks} and {hidden}")
    family = construct(likelihood, image_shape[0])
    image = PaddedImage(image_shape, 2 ** len(blocks), binary=family.takes == "binary")
    scales = [s for s, count in enumerate(blocks) for _ in range(count)]
    shapes = [(width, *(side // 2 ** (s + 1) for side in image.size)) for s in scales]
    coarser = [i > 0 and shapes[i] != shapes[i - 1] for i in range(len(shapes))]
    context = hidden[0] if flows else 0
    layers = [Down(shape, latent, context, grow=grow) for shape, grow in zip(shapes, coarser, strict=True)]
    to_image = _to_image(width, family.size, image.crop())
    model = IAFVAE(TiledVector(shapes[-1]), layers, FamilyLikelihood(to_image, family))
    ups = [
        Up(width, [latent, latent, context], stride=2 if c else 1, top=i == len(shapes) - 1)
        for i, c in enumerate(coarser)
    ]
    path = Encoder(image, convolution(image_shape[0], width, 5, stride=2), ups)
    posteriors = [
        LayerPosterior([masked_iaf(layer.event_shape, hidden, reverse=f % 2 == 1) for f in range(flows)])
        for layer in layers
    ]
    guide = IAFVAEGuide(path, posteriors).bound_to(model)
    if checkpoint_activations:
        checkpointed.checkpoint_activations(guide, Up)
    return model, guide


def masked_iaf(event_shape: Shape, hidden: tuple[int, ...], *, reverse: bool = False) -> Autoregressive:
    """An IAF of masked convolutions; the context is added after the first.

    Args:
        event_shape: (C, H, W).
        hidden: channels of the layers; the context has as many as the first.
        reverse: whether the order is the opposite one.
    """
    net = MaskedNet(event_shape[0], 2, hidden=hidden, reverse=reverse)
    context = (hidden[0], *event_shape[1:])
    return Autoregressive(event_shape, Affine(), net=net, context=context)


def _to_image(width: int, features: int, crop: Crop) -> nn.Module:
    double = WeightNormConvTranspose2d(width, features, 5, stride=2, padding=2, output_padding=1)
    return nn.Sequential(ELU(), double, crop)
