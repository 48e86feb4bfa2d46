"""The generative half that VAE, LVAE and BIVA have in common, and what their guides are made of.

p(x, z) = p(x | z) p(z_L) prod_{i<L} prod_s p(z_i^s | z_>i)

Layers count upward from the image, 1 ... L; s runs over the variables of a layer: one, site ``z_i``, or
BIVA's ``z_i_bu`` and ``z_i_td``. The deterministic features d_p_i carry z_>=i down:

    z_L -> d_p_L -> z_{L-1} -> ... -> d_p_2 -> z_1 -> d_p_1 -> x

Without skip connections d_p_i is made of z_i alone, and the hierarchy is a Markov chain.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyro
from torch import Tensor, nn

from zoo.heads import NormalHead
from zoo.nn.activations import ELU
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.layers import Shape, Shaped
from zoo.nn.scales import softplus_scale
from zoo.nn.stages import Block, Decoder, Stage, feature_shapes, joined
from zoo.priors import StandardNormal
from zoo.programs import Program, batch_plate, batch_size, independent_copies, latent


class Hierarchy(Program):
    """p(x, z); see the module's docstring.

    Args:
        prior: called with nothing, returns p(z_L).
        top: `Decoder` of z_L.
        layers: `GenerativeLayer`s 1 ... L-1.
        likelihood: called with d_p_1 (B, C, H, W), returns p(x | z).
    """

    def __init__(
        self, prior: nn.Module, top: Decoder, layers: Sequence["GenerativeLayer"], likelihood: nn.Module
    ) -> None:
        super().__init__()
        self.prior, self.top, self.likelihood = prior, top, likelihood
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        with batch_plate():
            d = self.latents(batch_size(x, n))
            return pyro.sample("x", self.likelihood(d), obs=x)  # p(x | z)

    def latents(self, n: int) -> Tensor:
        """Sample z_L ... z_1 for n images; returns d_p_1."""
        top = f"z_{len(self.layers) + 1}"
        d = self.top(latent(top, independent_copies(self.prior(), n)), None)  # p(z_L)
        for i, layer in downward(self.layers):
            h = d[-1]  # d_p_{i+1}
            # p(z_i^TD | z_>i) before p(z_i^BU | z_>i): their order in the feature map, as published
            z = [latent(f"z_{i}{part}", prior(h), h) for part, prior in reversed(layer.parts())]
            d = layer.decode(joined(*z), d)
        return d[-1]


class GenerativeLayer(nn.Module):
    """The parts of layer i < L of the model: the priors of its variables and what follows them.

    Args:
        priors: by the end of the site's name, ``""``, or ``"_bu"`` and ``"_td"``: h to p(z_i^s | z_>i).
        decode: `Decoder` of all of z_i.
    """

    def __init__(self, priors: Mapping[str, nn.Module], decode: Decoder) -> None:
        super().__init__()
        self.names = tuple(priors)
        self.priors = nn.ModuleList(priors.values())
        self.decode = decode

    def parts(self) -> list[tuple[str, Any]]:
        """The variables' names and priors."""
        return list(zip(self.names, self.priors, strict=True))


@dataclass(frozen=True)
class Heads:
    """What makes p or q of a stage's latents from a feature map.

    Attributes:
        scale: from real numbers to standard deviations: `zoo.nn.scales.softplus_scale`, free, or
            `wide_softplus_scale`, as in the published codes.
    """

    scale: Callable[[Tensor], Tensor] = softplus_scale

    def __call__(self, stage: Stage, features: Shape, event: Shape, *blocks: nn.Module) -> NormalHead:
        """The head of a latent of event shape `event` on features (C, H, W), by way of blocks."""
        kernel = stage.head_kernel or (features[1], features[2])
        return NormalHead(Shaped(features, *blocks, ELU()), event, scale=self.scale, kernel=kernel)


def generative(
    program: Callable[..., Hierarchy],
    image_shape: Shape,
    stages: Sequence[Stage],
    likelihood: Callable[..., nn.Module],
    *,
    parts: Sequence[str] = ("",),
    skips: bool = True,
    block: Block = GatedResNet,
    heads: Heads | None = None,
) -> Any:
    """The model p(x, z).

    Args:
        program: made of prior, top, layers and likelihood.
        image_shape: (C, H, W).
        stages: layers 1 ... L.
        likelihood: made of a network and the image's shape.
        parts: of the variables of a layer, see `GenerativeLayer`.
        skips: whether block j of layer i sees the output of block j of layer i + 1.
        block: makes a block.
        heads: make the priors.
    """
    heads = heads or Heads()
    shapes = feature_shapes(image_shape, stages)
    *lower, top = [stage.event(shape) for stage, shape in zip(stages, shapes[1:], strict=True)]
    decoder = Decoder(stages[-1], top, shapes[-1], shapes[-2], block=block)
    layers: list[GenerativeLayer] = []
    above = decoder.out_shapes
    for i in reversed(range(len(lower))):
        channels, *size = lower[i]
        z = (len(parts) * channels, *size)
        seen = above if skips else ()
        decode = Decoder(stages[i], z, shapes[i + 1], shapes[i], above=seen, block=block)
        priors = {part: heads(stages[i], above[-1], lower[i]) for part in parts}
        layers.insert(0, GenerativeLayer(priors, decode))
        above = decode.out_shapes
    net = Shaped(above[-1], ELU())
    return program(StandardNormal(top), decoder, layers, likelihood(net, image_shape))


def generative_features(image_shape: Shape, stages: Sequence[Stage]) -> list[Shape]:
    """The shapes of d_p_1 ... d_p_L, each of the resolution of the layer below."""
    shapes = feature_shapes(image_shape, stages)
    return [(stage.filters, *below[1:]) for stage, below in zip(stages, shapes, strict=False)]


def downward(layers: nn.ModuleList) -> Iterator[tuple[int, Any]]:
    """(i, layer i) for i = L-1 ... 1."""
    return zip(range(len(layers), 0, -1), reversed(layers), strict=True)


def two_path_top(stage: Stage, features: Shape, block: Block, heads: Heads) -> NormalHead:
    """q(z_L | d_bu_L, d_td_L): a head on both paths of inference (`TwoPaths`), by way of one more block."""
    channels, *size = features
    merge = block((2 * channels, *size), features, kernel=stage.kernel)
    return heads(stage, features, stage.event(features), merge)
