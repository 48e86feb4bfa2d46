"""The generative half that VAE, LVAE and BIVA have in common, and what both halves are built from.

p(x, z) = p(x | z) p(z_L) prod_{i<L} prod_s p(z_i^s | z_>i)

Layers count upward from the image, 1 ... L; s runs over the variables of a layer: one, site ``z_i``, or
BIVA's ``z_i_bu`` and ``z_i_td``. The deterministic features d_p_i carry z_>=i down:

    z_L -> d_p_L -> z_{L-1} -> ... -> d_p_2 -> z_1 -> d_p_1 -> x

Without skip connections d_p_i depends on z_i only, and the hierarchy is a Markov chain.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyro
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.choices import Likelihood, Prior, Scale
from zoo.conversion import Probability
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.activations import ELU
from zoo.nn.checkpointed import checkpoint_activations as checkpoint
from zoo.nn.gated_resnet import GatedResNet, WhereChannelsGrow
from zoo.nn.layers import Shape, Shaped
from zoo.nn.scales import softplus_scale
from zoo.nn.stages import Block, Decoder, Stage, Upward, feature_shapes, joined
from zoo.nn.weight_norm import weight_normalised
from zoo.parts.heads import NormalHead
from zoo.parts.likelihoods import BernoulliLikelihood
from zoo.parts.priors import StandardNormal
from zoo.settings import construct

# the paths, the merges, and the heads, whose normalised weights are most of what is kept
CHECKPOINTED = (Upward, Decoder, GatedResNet, Shaped)


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
        top = len(self.layers) + 1
        z = latent(f"z_{top}", independent_copies(self.prior(), n), layer=top)  # p(z_L)
        d = self.top(z, None)
        for i, layer in downward(self.layers):
            h = d[-1]  # d_p_{i+1}
            # p(z_i^TD | z_>i) before p(z_i^BU | z_>i): their order in the feature map, as published
            variables = reversed(layer.variables())
            z_i = [latent(f"z_{i}{suffix}", prior(h), h, layer=i) for suffix, prior in variables]
            d = layer.decode(joined(*z_i), d)
        return d[-1]


class GenerativeLayer(nn.Module):
    """Layer i < L of the model: the priors of its variables and the decoder that follows them.

    Args:
        priors: by the suffix of the site's name, ``""``, or ``"_bu"`` and ``"_td"``: h to p(z_i^s | z_>i).
        decode: `Decoder` of all of z_i.
    """

    def __init__(self, priors: Mapping[str, nn.Module], decode: Decoder) -> None:
        super().__init__()
        self.suffixes = tuple(priors)
        self.priors = nn.ModuleList(priors.values())
        self.decode = decode

    def variables(self) -> list[tuple[str, Any]]:
        """Suffix and prior of each variable."""
        return list(zip(self.suffixes, self.priors, strict=True))


@dataclass(frozen=True)
class Design:
    """What both halves of a hierarchy are built from. Lists go from the layer nearest the image up.

    Attributes:
        image_shape: (C, H, W).
        stages: layers 1 ... L.
        block_q: makes a block of inference.
        block_p: makes a block of generation.
        scale: of priors and posteriors, from real numbers to standard deviations (`zoo.nn.scales`).
        skips: whether block j of layer i of the model sees the output of block j of layer i + 1.
    """

    image_shape: Shape
    stages: Sequence[Stage]
    block_q: Block
    block_p: Block
    scale: Callable[[Tensor], Tensor]
    skips: bool

    @property
    def below(self) -> list[Shape]:
        """Shapes of what each layer of inference is made from: of the image and of layers 1 ... L-1."""
        return feature_shapes(self.image_shape, self.stages)[:-1]

    @property
    def features(self) -> list[Shape]:
        """Shapes of the features of each layer."""
        return feature_shapes(self.image_shape, self.stages)[1:]

    @property
    def events(self) -> list[Shape]:
        """Event shapes of each layer's variables."""
        return [stage.event(shape) for stage, shape in zip(self.stages, self.features, strict=True)]

    @property
    def seen(self) -> list[Shape]:
        """Shapes of what answers z_1 ... z_{L-1} on the way down: d_p_2 ... d_p_L."""
        maps = zip(self.stages, self.below, strict=True)
        return [(stage.filters, *below[1:]) for stage, below in maps][1:]

    def head(self, i: int, *blocks: nn.Module, on: Shape | None = None) -> NormalHead:
        """The head of a variable of layer i + 1.

        Args:
            i: index in the lists.
            blocks: applied to the features first.
            on: shape (C, H, W) of what the blocks return, that of the layer's features by default.
        """
        shape = self.features[i] if on is None else on
        kernel = self.stages[i].head_kernel or (shape[1], shape[2])
        return NormalHead(Shaped(shape, *blocks, ELU()), self.events[i], scale=self.scale, kernel=kernel)

    def merge(self, i: int) -> nn.Module:
        """The block that joins the features with index i with d_p of the layer above."""
        return self.block_p(self.features[i], self.features[i], aux_shape=self.seen[i])

    def two_path_top(self) -> NormalHead:
        """q(z_L | d_bu_L, d_td_L): a head on both paths of inference, through one more block."""
        channels, *size = self.features[-1]
        both = (2 * channels, *size)
        return self.head(-1, self.block_q(both, self.features[-1], kernel=self.stages[-1].kernel))


def pair(
    program: Callable[..., Hierarchy],
    guide: Callable[[Design], Any],
    image_shape: Shape,
    stages: Sequence[Stage],
    *,
    suffixes: Sequence[str] = ("",),
    prior: Prior = StandardNormal,
    likelihood: Likelihood = BernoulliLikelihood,
    skips: bool = True,
    dropout_q: Probability = 0.0,
    dropout_p: Probability = 0.0,
    block: Block = GatedResNet,
    shortcut: WhereChannelsGrow = "none",
    scale: Scale = softplus_scale,
    weight_norm: bool = False,
    checkpoint_activations: bool = False,
) -> tuple[Any, Any]:
    """A hierarchy: model and guide.

    Args:
        program: makes the model from prior, top, layers and likelihood.
        guide: makes the guide from a `Design`.
        image_shape: (C, H, W).
        stages: layers 1 ... L.
        suffixes: of the names of a layer's variables, see `GenerativeLayer`.
        prior: makes p(z_L) from the shape of z_L; or the prior itself, a module.
        likelihood: makes p(x | z) from a network and the image's shape.
        skips: skip connections in the model; without them p(z_i | z_>i) = p(z_i | z_{i+1}).
        dropout_q: probability in the blocks of inference.
        dropout_p: probability in the blocks of generation, the merges among them.
        block: makes a residual block, see `zoo.nn.stages`; takes ``dropout`` and ``shortcut`` as well.
        shortcut: of blocks that have more channels than their input: none, project by a 1x1 convolution, or
            pad with zeros, as published, see `zoo.nn.gated_resnet`.
        scale: of priors and posteriors: `zoo.nn.scales.softplus_scale`, or `wide_softplus_scale` as in the
            published codes.
        weight_norm: weight-normalised layers, whose data-dependent initialisation is `zoo.initialise`.
        checkpoint_activations: less memory in training, for a second forward pass.
    """
    block = partial(block, shortcut=shortcut)
    block_q, block_p = partial(block, dropout=dropout_q), partial(block, dropout=dropout_p)
    design = Design(tuple(image_shape), stages, block_q, block_p, scale, skips)
    z_prior = construct(prior, design.events[-1])
    top, layers = generation(design, suffixes)
    net = Shaped((layers[0].decode if layers else top).out_shapes[-1], ELU())
    model = program(z_prior, top, layers, likelihood(net, image_shape))
    programs = model, guide(design).bound_to(model)
    for half in programs:
        if weight_norm:
            weight_normalised(half)
        if checkpoint_activations:
            checkpoint(half, CHECKPOINTED)
    return programs


def generation(design: Design, suffixes: Sequence[str]) -> tuple[Decoder, list[GenerativeLayer]]:
    """The top of the model and its layers 1 ... L-1."""
    make = partial(Decoder, block=design.block_p)
    top = make(design.stages[-1], design.events[-1], design.features[-1], design.below[-1])
    layers: list[GenerativeLayer] = []
    above = top.out_shapes
    for i in reversed(range(len(design.stages) - 1)):
        channels, *size = design.events[i]
        z = (len(suffixes) * channels, *size)
        skips = above if design.skips else ()
        decode = make(design.stages[i], z, design.features[i], design.below[i], above=skips)
        priors = {suffix: design.head(i, on=above[-1]) for suffix in suffixes}
        layers.insert(0, GenerativeLayer(priors, decode))
        above = decode.out_shapes
    return top, layers


def downward(layers: nn.ModuleList) -> Iterator[tuple[int, Any]]:
    """(i, layer i) for i = L-1 ... 1."""
    return zip(range(len(layers), 0, -1), reversed(layers), strict=True)
