"""BIVA: a very deep hierarchy of latent variables (Maaløe, Fraccaro, Liévin, Winther 2019), arXiv:1902.02102.

p(x, z)  = p(x | z) p(z_L) prod_{i<L} p(z_i^BU | z_>i) p(z_i^TD | z_>i)
q(z | x) = prod_{i<L} q(z_i^BU | x, z_<i^BU)  q(z_L | x, z_<L^BU)  prod_{i<L} q(z_i^TD | x, z_<i^BU, z_>i)

Layers count upward from the image, 1 ... L; sites ``z_i_bu``, ``z_i_td``, ``z_L`` and ``x``. Deterministic
features are d_p (generative), d_bu and d_td (inference, the latter free of the noise of its own layer).

               bottom-up inference                     generative, and top-down inference
    x -> d_bu_1 -> z_1_bu -> d_bu_2 -> ... z_L -> d_p_L -> z_{L-1} -> ... -> d_p_2 -> z_1 -> d_p_1 -> x
    x -> d_td_1 ------------> d_td_2 -> ...                 merge(d_td_i, d_p_{i+1}) -> q(z_i_td)

The z^BU are drawn before the model runs and from variables below them, so their KL is estimated by Monte
Carlo; that of z_L and z^TD in closed form where there is one.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from zoo.guides import Guide
from zoo.heads import NormalHead
from zoo.likelihoods import BernoulliLikelihood
from zoo.nn.activations import ELU
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.layers import Shape, Shaped, project, strided
from zoo.priors import StandardNormal
from zoo.programs import Program, batch_plate, batch_size, independent_copies, latent


@dataclass(frozen=True)
class Stage:
    """One layer i of the hierarchy, in inference and in generation.

    Attributes:
        latent: D of z_i (and of each of z_i_bu and z_i_td): a vector; or the channels of a feature map of
            this layer's resolution, where `spatial`.
        filters: channels of the blocks.
        kernel: of the blocks, odd.
        stride: from the layer below to this one; it sits on the last block upward, the first downward.
        blocks: gated residual blocks.
        spatial: whether the latents are feature maps.
    """

    latent: int
    filters: int = 64
    kernel: int = 3
    stride: int = 1
    blocks: int = 3
    spatial: bool = False

    def features(self, below: Shape) -> Shape:
        """The shape of this layer's features, `below` being that of the layer below."""
        return strided((self.filters, *below[1:]), self.stride)

    def event(self, features: Shape) -> Shape:
        """The event shape of each latent."""
        return (self.latent, *features[1:]) if self.spatial else (self.latent,)


class BIVA(Program):
    """p(x, z): the generative half.

    Args:
        prior: called with nothing, returns p(z_L).
        top: `Decoder` of z_L.
        layers: `GenerativeLayer`s 1 ... L-1.
        likelihood: called with d_p_1 (B, C, H, W), returns p(x | z).
    """

    def __init__(
        self,
        prior: nn.Module,
        top: "Decoder",
        layers: Sequence["GenerativeLayer"],
        likelihood: nn.Module,
    ) -> None:
        super().__init__()
        self.prior, self.top, self.likelihood = prior, top, likelihood
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        with batch_plate():
            top = f"z_{len(self.layers) + 1}"
            z = latent(top, independent_copies(self.prior(), batch_size(x, n)))  # p(z_L)
            d = self.top(z, None)
            for i, layer in downward(self.layers):
                h = d[-1]  # d_p_{i+1}
                z_td = latent(f"z_{i}_td", layer.prior_td(h), h)  # p(z_i^TD | z_>i)
                z_bu = latent(f"z_{i}_bu", layer.prior_bu(h), h)  # p(z_i^BU | z_>i)
                d = layer.decode(torch.cat([z_td, z_bu], dim=1), d)
            return pyro.sample("x", self.likelihood(d[-1]), obs=x)  # p(x | z)


class BIVAGuide(Guide):
    """q(z | x): bottom-up sampling, then answers on the model's way down.

    Args:
        layers: `InferenceLayer`s 1 ... L.
        top: head, q(z_L | d_bu_L, d_td_L).
        model: see `Guide`.
    """

    def __init__(self, layers: Sequence["InferenceLayer"], top: nn.Module, *, model: Any = None) -> None:
        super().__init__(model)
        self.layers: Any = nn.ModuleList(layers)
        self.top = top

    def encode(self, x: Tensor) -> Any:
        """d_bu_1, d_td_1 and the parameters of q(z_1^BU | x)."""
        d_bu, d_td = self.layers[0](x, x, None)
        return d_bu, d_td, self.layers[0].posterior_bu.encode(d_bu)

    def bottom_up(self, features: Any) -> dict[str, Tensor]:
        """Sample every z_i^BU; returns what each of the other posteriors needs from below."""
        d_bu, d_td, parameters = features
        known = {"z_1_td": d_td}
        with batch_plate():
            for i, (layer, above) in enumerate(zip(self.layers, self.layers[1:], strict=False), 1):
                q = layer.posterior_bu.distribution(parameters)
                z_bu = pyro.sample(f"z_{i}_bu", q)  # q(z_i^BU | x, z_<i^BU)
                d_bu, d_td = above(z_bu, d_td, torch.cat([d_bu, d_td], dim=1))
                known[f"z_{i + 1}_td"] = d_td
                if above.posterior_bu is not None:
                    parameters = above.posterior_bu.encode(d_bu)
        known[f"z_{len(self.layers)}"] = torch.cat([d_bu, d_td], dim=1)
        return known

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(z_L | x, z_<L^BU), or q(z_i^TD | x, z_<i^BU, z_>i) with h = d_p_{i+1}."""
        if name == f"z_{len(self.layers)}":
            return self.top(features[name])
        layer = self.layers[int(name.split("_")[1]) - 1]
        return layer.posterior_td(layer.merge(features[name], h))


class Decoder(nn.Module):
    """z_i and the features of the layer above to the features of layer i, the last of them d_p_i.

    Args:
        stage: layer i.
        latent: event shape of all of z_i.
        features: shape of the layer's features.
        below: shape of the features of the layer below, the resolution that d_p_i has.
        above: shapes of the block outputs of layer i+1 (skip connections), none at the top.
        dropout: probability.
    """

    def __init__(
        self,
        stage: Stage,
        latent: Shape,
        features: Shape,
        below: Shape,
        *,
        above: Sequence[Shape] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.expand = nn.Identity() if stage.spatial else project(latent, features)
        start = latent if stage.spatial else features
        self.out_shapes = [(stage.filters, *below[1:])] * stage.blocks
        self.blocks = nn.ModuleList(
            GatedResNet(a, b, kernel=stage.kernel, aux_shape=aux, shortcut=j > 0, dropout=dropout)
            for j, (a, b, aux) in enumerate(
                zip(
                    [start, *self.out_shapes],
                    self.out_shapes,
                    _padded(above, stage.blocks),
                    strict=False,
                )
            )
        )

    def forward(self, z: Tensor, above: list[Tensor] | None) -> list[Tensor]:
        """The outputs of all blocks."""
        d, outputs = self.expand(z), []
        for block, aux in zip(self.blocks, _padded(above, len(self.blocks)), strict=True):
            d = block(d, aux)
            outputs.append(d)
        return outputs


class GenerativeLayer(nn.Module):
    """The parts of layer i < L of the model: two priors and what follows them."""

    def __init__(self, prior_bu: nn.Module, prior_td: nn.Module, decode: Decoder) -> None:
        super().__init__()
        self.prior_bu, self.prior_td, self.decode = prior_bu, prior_td, decode


class InferenceLayer(nn.Module):
    """The deterministic paths of layer i of the guide and, where i < L, its posteriors.

    Args:
        stage: layer i.
        below: shape of the features of the layer below, or of the image.
        z_bu: event shape of z_{i-1}^BU, none at the first layer.
        h: shape of d_p_{i+1}; none at the top.
        dropout: probability, of the inference blocks.
        dropout_p: probability, of the merge, which belongs to the generative features.
    """

    def __init__(
        self,
        stage: Stage,
        below: Shape,
        *,
        z_bu: Shape | None,
        h: Shape | None,
        dropout: float = 0.0,
        dropout_p: float = 0.0,
    ) -> None:
        super().__init__()
        features = stage.features(below)
        dense = z_bu is not None and len(z_bu) == 1
        self.expand = project(z_bu, below) if z_bu and dense else nn.Identity()
        start = z_bu if z_bu and not dense else below
        aux = (2 * below[0], *below[1:]) if z_bu else None
        self.bottom_up = upward_blocks(stage, start, features, aux, dropout)
        self.top_down = upward_blocks(stage, below, features, features, dropout)
        self.posterior_bu = None
        if h:
            self.posterior_bu = head(features, stage.event(features))
            self.merge = GatedResNet(features, features, aux_shape=h, dropout=dropout_p)
            self.posterior_td = head(features, stage.event(features))

    def forward(self, z: Tensor, d_td: Tensor, aux: Tensor | None) -> tuple[Tensor, Tensor]:
        """d_bu_i and d_td_i from z_{i-1}^BU, d_td_{i-1} and all of the features below (B, 2C, H, W)."""
        d_bu = self.expand(z)
        for block in self.bottom_up:
            d_bu = block(d_bu, aux)
        for block in self.top_down:
            d_td = block(d_td, d_bu)
        return d_bu, d_td


def upward_blocks(
    stage: Stage, start: Shape, features: Shape, aux: Shape | None, dropout: float
) -> nn.ModuleList:
    """The blocks of a stage from `start` (C, H, W) up to `features`, all with the same auxiliary input."""
    inner = (stage.filters, *start[1:])
    shapes = [start, *[inner] * (stage.blocks - 1), features]
    return nn.ModuleList(
        GatedResNet(a, b, kernel=stage.kernel, aux_shape=aux, dropout=dropout)
        for a, b in itertools.pairwise(shapes)
    )


def head(features: Shape, event: Shape, *blocks: nn.Module) -> NormalHead:
    """P or q of one latent from a feature map, by way of blocks."""
    return NormalHead(Shaped(features, *blocks, ELU()), event)


def downward(layers: nn.ModuleList) -> Iterator[tuple[int, Any]]:
    """(i, layer i) for i = L-1 ... 1."""
    return zip(range(len(layers), 0, -1), reversed(layers), strict=True)


def biva(
    image_shape: Shape,
    stages: Sequence[Stage],
    *,
    dropout_q: float = 0.0,
    dropout_p: float = 0.0,
    likelihood: Callable[..., nn.Module] = BernoulliLikelihood,
) -> tuple[BIVA, BIVAGuide]:
    """BIVA: model and guide.

    Args:
        image_shape: (C, H, W).
        stages: layers 1 ... L, L >= 2.
        dropout_q: probability in the inference blocks.
        dropout_p: probability in the generative blocks.
        likelihood: made of a network and the image's shape.

    Raises:
        ValueError: with fewer than two stages.
    """
    if len(stages) < 2:
        raise ValueError(f"BIVA needs at least two stages, else it is a VAE; got {len(stages)}")
    model = generative(image_shape, stages, dropout_p, likelihood)
    layers, top = inference(image_shape, stages, dropout_q, dropout_p)
    return model, BIVAGuide(layers, top, model=model)


def generative(
    image_shape: Shape,
    stages: Sequence[Stage],
    dropout: float,
    likelihood: Callable[..., nn.Module],
) -> BIVA:
    """The model p(x, z)."""
    shapes = _feature_shapes(image_shape, stages)
    *lower, top = [stage.event(shape) for stage, shape in zip(stages, shapes[1:], strict=True)]
    decoder = Decoder(stages[-1], top, shapes[-1], shapes[-2], dropout=dropout)
    layers: list[GenerativeLayer] = []
    above = decoder.out_shapes
    for i in reversed(range(len(lower))):
        both = (2 * lower[i][0], *lower[i][1:])
        decode = Decoder(stages[i], both, shapes[i + 1], shapes[i], above=above, dropout=dropout)
        prior_bu, prior_td = head(above[-1], lower[i]), head(above[-1], lower[i])
        layers.insert(0, GenerativeLayer(prior_bu, prior_td, decode))
        above = decode.out_shapes
    net = Shaped(above[-1], ELU())
    return BIVA(StandardNormal(top), decoder, layers, likelihood(net, image_shape))


def inference(
    image_shape: Shape, stages: Sequence[Stage], dropout_q: float, dropout_p: float
) -> tuple[list[InferenceLayer], NormalHead]:
    """The parts of the guide q(z | x)."""
    shapes = _feature_shapes(image_shape, stages)
    layers: list[InferenceLayer] = []
    z_bu: Shape | None = None
    for i, stage in enumerate(stages):
        last = i == len(stages) - 1
        h = None if last else (stages[i + 1].filters, *shapes[i + 1][1:])
        layers.append(
            InferenceLayer(stage, shapes[i], z_bu=z_bu, h=h, dropout=dropout_q, dropout_p=dropout_p)
        )
        z_bu = stage.event(shapes[i + 1])
    c, *size = shapes[-1]
    block = GatedResNet((2 * c, *size), (c, *size), kernel=stages[-1].kernel, dropout=dropout_q)
    top = head((c, *size), stages[-1].event(shapes[-1]), block)
    return layers, top


def _feature_shapes(image_shape: Shape, stages: Sequence[Stage]) -> list[Shape]:
    """Shape of the image and of the features of every layer."""
    shapes = [tuple(image_shape)]
    for stage in stages:
        shapes.append(stage.features(shapes[-1]))
    return shapes


def _padded(above: Sequence[Any] | None, length: int) -> list[Any]:
    """One auxiliary input a block: those above in order, the last of them for any blocks beyond."""
    if not above:
        return [None] * length
    return [above[min(j, len(above) - 1)] for j in range(length)]
