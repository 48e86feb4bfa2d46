"""NVAE: a deep hierarchical VAE (Vahdat & Kautz 2020), arXiv:2007.03898.

p(x, z)  = p(x | z) p(z_L) prod_{i<L} p(z_i | z_>i),  p(z_i | z_>i) = N(mu_i, sigma_i^2)
q(z | x) = prod_i q(z_i | x, z_>i),                   q(z_i | x, z_>i) = N(mu_i + dmu_i, sigma_i^2 dsigma_i^2)

Every latent is a feature map; the L groups lie on a few scales, each of half the resolution of the one below.
Group L is at the top, where the state h begins with a learned constant (`zoo.models.residual_hierarchy`).

    model   h = cells(h);  mu, log sigma = conv1x1(elu(h));  z;  h = conv1x1([h, z])
    guide   dmu, log dsigma = conv3x3(d_i + conv1x1(h)),  d_i of the encoder, at the top of d_L only

The model's cells are separable, the encoder's regular (`zoo.nn.residual_cells`). mu, log sigma, dmu and
log dsigma are all kept in (-5, 5) by 5 tanh(x / 5). The published code adds an offset before that bound and
0.01 to sigma, so its KL is not the paper's; here it is 1/2 (dmu^2/sigma^2 + dsigma^2 - log dsigma^2 - 1).

Trained with `zoo.RegularisedELBO`: KL balancing and spectral regularisation.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from distributions import TransformedDistribution
from distributions.copies import independent_copies
from zoo.choices import Choice, Family, Part
from zoo.models.residual_hierarchy import LearnedConstant, ResidualGuide, ResidualHierarchy, bounded
from zoo.nn import checkpointed
from zoo.nn.activations import ELU
from zoo.nn.cells import Cells, Crop, PaddedImage, convolution
from zoo.nn.layers import Shape
from zoo.nn.masked_cell import shift_pair
from zoo.nn.residual_cells import regular_cell, separable_cell
from zoo.parts.families import Bernoullis
from zoo.parts.laws import residual
from zoo.parts.likelihoods import FamilyLikelihood
from zoo.parts.priors import StandardNormal
from zoo.settings import construct

BOUND = 5.0

Cell = Annotated[Part, Choice(("zoo.nn.residual_cells",), supplied=("resample", "expansion"))]
Law = Annotated[Part, Choice(("zoo.parts.laws",))]


class NVAE(ResidualHierarchy):
    """p(x, z): the generative half; see `zoo.models.residual_hierarchy.ResidualHierarchy`."""


class NVAEGuide(ResidualGuide):
    """q(z | x); see `zoo.models.residual_hierarchy.ResidualGuide`."""


class Group(nn.Module):
    """Group i of the model.

    Args:
        cells: of the state, at this group's resolution; none at the top.
        head: state to the prior's parameters; None for p(z_i) = N(0, I).
        event_shape: of z_i.
        combine: state and z_i, side by side, to the state.
        grow: to the resolution of the group below, where that differs.
    """

    def __init__(
        self,
        cells: nn.Module,
        head: nn.Module | None,
        event_shape: Shape,
        combine: nn.Module,
        grow: nn.Module,
    ) -> None:
        super().__init__()
        self.cells, self.head, self.combine, self.grow = cells, head, combine, grow
        self.event_shape = event_shape
        self.top = StandardNormal(event_shape) if head is None else None

    def prior(self, h: Tensor) -> tuple[Tensor, Any, Tensor]:
        """The state after the cells, and p(z_i | z_>i)."""
        h = self.cells(h)
        if self.top is not None:
            return h, independent_copies(self.top(), len(h)), h
        loc, log_scale = bounded(self.head(h), BOUND).chunk(2, dim=1)  # type: ignore[misc]
        return h, dist.Normal(loc, log_scale.exp()).to_event(3), h

    def update(self, h: Tensor, z: Tensor) -> Tensor:
        """The state with z_i in it."""
        return self.grow(self.combine(torch.cat([h, z], dim=1)))


class GroupPosterior(nn.Module):
    """q(z_i | x, z_>i), transformed by flows where there are any.

    Args:
        merge: of the state, added to the encoder's features; None at the top, where the state is constant.
        head: features to the parameters.
        law: of prior and parameters: `residual` or `absolute`.
        flows: on z_i.
    """

    def __init__(
        self, merge: nn.Module | None, head: nn.Module, law: Callable[..., Any], flows: list[Any]
    ) -> None:
        super().__init__()
        self.merge, self.head, self.law = merge, head, law
        self.flows: Any = nn.ModuleList(flows)

    def forward(self, prior: Any, h: Tensor, features: Tensor) -> Any:
        """The posterior."""
        if self.merge is not None:
            features = features + self.merge(h)
        q = self.law(prior, *bounded(self.head(features), BOUND).chunk(2, dim=1))
        return TransformedDistribution(q, list(self.flows)) if len(self.flows) else q


class Encoder(nn.Module):
    """Images to d_1 ... d_L.

    Args:
        image: pads and scales them.
        stem: to the features of the first group.
        groups: of each group, what leads to it from the group below where that is larger, and its cells.
        top: of the last group's features.
    """

    def __init__(
        self,
        image: PaddedImage,
        stem: nn.Module,
        groups: list[tuple[nn.Module, nn.Module]],
        top: nn.Module,
    ) -> None:
        super().__init__()
        self.image, self.stem, self.top = image, stem, top
        self.reduce = nn.ModuleList(reduce for reduce, _ in groups)
        self.cells = nn.ModuleList(cells for _, cells in groups)

    def forward(self, x: Tensor) -> list[Tensor]:
        """d_1 ... d_L, each (B, C_i, H_i, W_i)."""
        d, features = self.stem(self.image(x)), []
        for reduce, cells in zip(self.reduce, self.cells, strict=True):
            d = cells(reduce(d))
            features.append(d)
        return [*features[:-1], self.top(d)]


def nvae(
    image_shape: Shape,
    *,
    groups: tuple[int, ...] = (4, 2),
    latent: int = 20,
    channels: int = 16,
    cells: int = 2,
    image_blocks: int = 1,
    image_cells: int = 2,
    flows: int = 0,
    likelihood: Family = Bernoullis,
    encoder_cell: Cell = regular_cell,
    generative_cell: Cell = separable_cell,
    law: Law = residual,
    flow: Callable[[Shape], nn.Module] = shift_pair,
    checkpoint_activations: bool = False,
) -> tuple[NVAE, NVAEGuide]:
    """NVAE: model and guide.

    Args:
        image_shape: (C, H, W); padded until every scale is half the one below.
        groups: per scale, the scale nearest the image first; every group has a latent.
        latent: channels of every z_i.
        channels: of the features at the image; twice as many at half the resolution.
        cells: number of cells per group, in the encoder and in the model.
        image_blocks: halvings between the image and the first scale.
        image_cells: number of cells per halving, in the encoder and in the model.
        flows: number of flows on every posterior.
        likelihood: makes the family of the pixels from their number of channels (`zoo.parts.families`).
        encoder_cell: makes the encoder's cells, see `zoo.nn.residual_cells`.
        generative_cell: makes the model's cells; those below the groups with ``expansion`` 3, if it has that.
        law: of the posterior, whose parameters are offsets from the prior's or not (`zoo.parts.laws`).
        flow: makes a flow from an event shape.
        checkpoint_activations: less memory in training, for a second forward pass.

    Raises:
        ValueError: unless there is a group on every scale.
    """
    if not groups or min(groups) < 1:
        raise ValueError(f"expected at least one group on every scale; got groups={groups}")
    family = construct(likelihood, image_shape[0])
    multiple = 2 ** (image_blocks + len(groups) - 1)
    image = PaddedImage(image_shape, multiple, binary=family.takes == "binary")
    shapes = _shapes(image.size, groups, channels, image_blocks)
    layers = [_group(shapes, latent, i, cells=cells, cell=generative_cell) for i in range(len(shapes))]
    to_image = _to_image(channels, image_blocks, image_cells, generative_cell, family.size, image.crop())
    model = NVAE(LearnedConstant(shapes[-1]), layers, FamilyLikelihood(to_image, family))
    top = shapes[-1][0]
    path = Encoder(
        image,
        _from_image(image_shape[0], channels, image_blocks, image_cells, encoder_cell),
        [_encoder_group(shapes, i, cells=cells, cell=encoder_cell) for i in range(len(shapes))],
        nn.Sequential(ELU(), convolution(top, top, 1), ELU()),
    )
    posteriors = [
        GroupPosterior(
            None if group is layers[-1] else convolution(shape[0], shape[0], 1),
            convolution(shape[0], 2 * latent, 3),
            law,
            [flow(group.event_shape) for _ in range(flows)],
        )
        for group, shape in zip(layers, shapes, strict=True)
    ]
    guide = NVAEGuide(path, posteriors).bound_to(model)
    if checkpoint_activations:
        for program in (model, guide):
            checkpointed.checkpoint_activations(program, Cells)
    return model, guide


def _shapes(size: list[int], groups: tuple[int, ...], channels: int, image_blocks: int) -> list[Shape]:
    """The shape of every group's features, the group nearest the image first."""
    scales = [image_blocks + s for s, count in enumerate(groups) for _ in range(count)]
    return [(channels * 2**s, *(side // 2**s for side in size)) for s in scales]


def _group(shapes: list[Shape], latent: int, i: int, *, cells: int, cell: Cell) -> Group:
    """Group i of the model, from 0 at the image."""
    c, *size = shapes[i]
    top = i == len(shapes) - 1
    grows = i > 0 and shapes[i - 1][1:] != shapes[i][1:]
    return Group(
        Cells(*(cell(c, c) for _ in range(0 if top else cells))),
        None if top else nn.Sequential(ELU(), convolution(c, 2 * latent, 1)),
        (latent, *size),
        convolution(c + latent, c, 1),
        Cells(cell(c, shapes[i - 1][0], resample=1)) if grows else nn.Identity(),
    )


def _encoder_group(shapes: list[Shape], i: int, *, cells: int, cell: Cell) -> tuple[nn.Module, nn.Module]:
    """What leads to group i of the encoder, and its cells."""
    c = shapes[i][0]
    shrinks = i > 0 and shapes[i - 1][1:] != shapes[i][1:]
    reduce = Cells(cell(shapes[i - 1][0], c, resample=-1)) if shrinks else nn.Identity()
    return reduce, Cells(*(cell(c, c) for _ in range(cells)))


def _from_image(image_channels: int, channels: int, blocks: int, cells: int, cell: Cell) -> nn.Module:
    """The image to the first scale: in each block the last cell halves the resolution."""
    layers: list[nn.Module] = []
    for b in range(blocks):
        c = channels * 2**b
        layers += [*(cell(c, c) for _ in range(cells - 1)), cell(c, 2 * c, resample=-1)]
    return nn.Sequential(convolution(image_channels, channels, 3), Cells(*layers))


def _to_image(channels: int, blocks: int, cells: int, cell: Cell, features: int, crop: Crop) -> nn.Module:
    """The first scale to the image's features: in each block the first cell doubles the resolution."""
    layers: list[nn.Module] = []
    make = partial(construct, cell, expansion=3)
    for b in reversed(range(blocks)):
        c = channels * 2**b
        layers += [make(2 * c, c, resample=1), *(make(c, c) for _ in range(cells - 1))]
    return nn.Sequential(Cells(*layers), ELU(), convolution(channels, features, 3), crop)
