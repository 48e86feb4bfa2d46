"""VDVAE: a very deep VAE (Child 2021), arXiv:2011.10650.

p(x, z)  = p(x | z) p(z_L) prod_{i<L} p(z_i | z_>i)
q(z | x) = prod_i q(z_i | x, z_>i)

One latent per block, on resolutions from 1x1 up to the image's (`zoo.models.residual_hierarchy`). h is the
state, d the last features of the encoder at the block's resolution:

    model   [mu, log sigma, r] = net(h);  h = h + r + conv1x1(z);  h = h + net(h)
    guide   [mu, log sigma] = net([h, d]),  h before r is added

r is the residual path of the prior, 0 at first as mu and log sigma are: p(z) = N(0, I). Where the resolution
grows, h is repeated (nearest neighbour) and a learned constant is added. Each net is 1x1, 3x3, 3x3, 1x1 with
a GELU before each, of a quarter of the width inside, and 1x1 throughout where the map is 2x2 or smaller.

No normalisation: the published training skips steps with a very large gradient, as `GradientSkip` of
`zoo.training.gradient_skip` does. The published code has no bound on log sigma, and standardises its input by
the data set; here log sigma is 10 tanh(x / 10) and the input in [-1, 1].
"""

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.choices import Family
from zoo.models.residual_hierarchy import LearnedConstant, ResidualGuide, ResidualHierarchy, bounded_normal
from zoo.nn import checkpointed
from zoo.nn.activations import GELU
from zoo.nn.cells import PaddedImage
from zoo.nn.layers import Shape
from zoo.parts.families import Bernoullis
from zoo.parts.likelihoods import FamilyLikelihood
from zoo.settings import construct


class VDVAE(ResidualHierarchy):
    """p(x, z): the generative half; see `zoo.models.residual_hierarchy.ResidualHierarchy`."""


class VDVAEGuide(ResidualGuide):
    """q(z | x); see `zoo.models.residual_hierarchy.ResidualGuide`."""


class Bottleneck(nn.Sequential):
    """1x1, 3x3, 3x3, 1x1, a GELU before each: (B, C, H, W) to (B, C', H, W).

    Args:
        in_channels: C.
        channels: inside.
        out_channels: C'.
        kernel: of the two in the middle.
        factor: of the last weight at first.
    """

    def __init__(
        self, in_channels: int, channels: int, out_channels: int, *, kernel: int = 3, factor: float = 1.0
    ) -> None:
        last = scaled(nn.Conv2d(channels, out_channels, 1), factor)
        middle = [nn.Conv2d(channels, channels, kernel, padding=kernel // 2) for _ in range(2)]
        convs = [nn.Conv2d(in_channels, channels, 1), *middle, last]
        super().__init__(*(layer for conv in convs for layer in (GELU(), conv)))


class Block(nn.Module):
    """Block i of the model.

    Args:
        shape: (C, H, W) of the state.
        latent: channels of z_i.
        factor: of what is added to the state, at first; 1 / sqrt(L).
        grows: factor from the resolution above; 1 where it is the same.
        constant: added where it grows, (C, H, W); none at high resolutions.
    """

    def __init__(
        self, shape: Shape, latent: int, *, factor: float, grows: int = 1, constant: nn.Module | None = None
    ) -> None:
        super().__init__()
        c, inside, kernel = shape[0], shape[0] // 4, kernel_at(shape)
        self.grows, self.constant = grows, constant
        self.event_shape = (latent, *shape[1:])
        self.sizes = [latent, latent, c]
        self.parameters_of = Bottleneck(c, inside, 2 * latent + c, kernel=kernel)
        for parameter in self.parameters_of[-1].parameters():
            nn.init.zeros_(parameter)
        self.project = scaled(nn.Conv2d(latent, c, 1), factor)
        self.resnet = Bottleneck(c, inside, c, kernel=kernel, factor=factor)

    def prior(self, h: Tensor) -> tuple[Tensor, Any, Tensor]:
        """The state with the prior's residual, p(z_i | z_>i), and the state before."""
        if self.grows > 1:
            h = F.interpolate(h, scale_factor=self.grows)
        if self.constant is not None:
            h = h + self.constant(len(h))
        loc, log_scale, r = self.parameters_of(h).split(self.sizes, dim=1)
        return h + r, bounded_normal(loc, log_scale), h

    def update(self, h: Tensor, z: Tensor) -> Tensor:
        """The state with z_i in it."""
        h = h + self.project(z)
        return h + self.resnet(h)


class BlockPosterior(nn.Module):
    """q(z_i | x, z_>i) of the state and the encoder's features.

    Args:
        shape: (C, H, W) of each.
        latent: channels of z_i.
    """

    def __init__(self, shape: Shape, latent: int) -> None:
        super().__init__()
        self.net = Bottleneck(2 * shape[0], shape[0] // 4, 2 * latent, kernel=kernel_at(shape))

    def forward(self, prior: Any, h: Tensor, features: Tensor) -> Any:
        """The posterior, whatever the prior is."""
        return bounded_normal(*self.net(torch.cat([h, features], dim=1)).chunk(2, dim=1))


class Encoder(nn.Module):
    """Images to the features of every resolution, the image's first.

    Args:
        image: pads and scales them.
        shapes: of the features.
        blocks: at each resolution; the last of them is averaged down to the next.
        factors: between the resolutions.
    """

    def __init__(
        self, image: PaddedImage, shapes: list[Shape], blocks: tuple[int, ...], factors: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.image, self.factors = image, factors
        c, factor = shapes[0][0], 1 / math.sqrt(sum(blocks))
        self.stem = nn.Conv2d(image.out_shape[0], c, 3, padding=1)
        self.blocks: Any = nn.ModuleList(
            nn.ModuleList(
                Bottleneck(c, c // 4, c, kernel=kernel_at(shape), factor=factor) for _ in range(count)
            )
            for shape, count in zip(shapes, blocks, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """The features of every resolution, (B, C, H_r, W_r)."""
        d, features = self.stem(self.image(x)), []
        for blocks, factor in zip(self.blocks, [*self.factors, 0], strict=True):
            *same, last = blocks if factor else [*blocks, None]
            for block in same:
                d = d + block(d)
            features.append(d)
            if last is not None:
                d = F.avg_pool2d(d + last(d), factor)
        return features


class Output(nn.Module):
    """The last state to the image's features: a factor and an offset per channel, then a 1x1 convolution.

    Args:
        channels: of the state.
        features: per pixel.
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels, 1, 1))
        self.offset = nn.Parameter(torch.zeros(channels, 1, 1))
        self.conv = nn.Conv2d(channels, features, 1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, features, H, W)."""
        return self.conv(h * self.factor + self.offset)


def vdvae(
    image_shape: Shape,
    *,
    blocks: tuple[int, ...] = (3, 2, 1),
    encoder_blocks: tuple[int, ...] = (2, 2, 1),
    factors: tuple[int, ...] = (2, 4),
    width: int = 64,
    latent: int = 16,
    constant_up_to: int = 64,
    likelihood: Family = Bernoullis,
    checkpoint_activations: bool = False,
) -> tuple[VDVAE, VDVAEGuide]:
    """VDVAE: model and guide.

    Args:
        image_shape: (C, H, W); padded until the factors divide it.
        blocks: of the model at each resolution, the image's first; every block has a latent.
        encoder_blocks: of the encoder at each resolution.
        factors: from each resolution to the next, smaller one.
        width: channels of the state and of the features.
        latent: channels of every z_i.
        constant_up_to: largest side at which a learned constant is added.
        likelihood: makes the family of the pixels from their number of channels (`zoo.parts.families`).
        checkpoint_activations: less memory in training, for a second forward pass.

    Raises:
        ValueError: unless there is a block at every resolution and a factor between any two.
    """
    if not len(blocks) == len(encoder_blocks) == len(factors) + 1 or min(*blocks, *encoder_blocks) < 1:
        raise ValueError(
            "expected blocks and encoder_blocks at every resolution, one factor fewer; got "
            f"{blocks}, {encoder_blocks} and {factors}"
        )
    family = construct(likelihood, image_shape[0])
    image = PaddedImage(image_shape, math.prod(factors), binary=family.takes == "binary")
    scales = [math.prod(factors[:r]) for r in range(len(blocks))]
    shapes = [(width, *(side // scale for side in image.size)) for scale in scales]
    layers = _layers(shapes, latent, blocks, factors, constant_up_to)
    to_image = nn.Sequential(Output(width, family.size), image.crop())
    start = LearnedConstant(shapes[-1], nn.init.zeros_)
    model = VDVAE(start, layers, FamilyLikelihood(to_image, family))
    sources = [r for r, count in enumerate(blocks) for _ in range(count)]
    posteriors = [BlockPosterior(shapes[r], latent) for r in sources]
    path = Encoder(image, shapes, encoder_blocks, factors)
    guide = VDVAEGuide(path, posteriors, sources=sources).bound_to(model)
    if checkpoint_activations:
        for program in (model, guide):
            checkpointed.checkpoint_activations(program, Bottleneck)
    return model, guide


def _layers(
    shapes: list[Shape], latent: int, blocks: tuple[int, ...], factors: tuple[int, ...], constant_up_to: int
) -> list[Block]:
    """The blocks of all resolutions, from the image up; the last of each grows from the resolution above."""
    make = partial(Block, latent=latent, factor=1 / math.sqrt(sum(blocks)))
    layers = []
    for shape, count, grows in zip(shapes, blocks, [*factors, None], strict=True):
        constant = grows is not None and max(shape[1:]) <= constant_up_to
        added = LearnedConstant(shape, nn.init.zeros_) if constant else None
        layers += [make(shape) for _ in range(count - 1)]
        layers.append(make(shape, grows=grows or 1, constant=added))
    return layers


def kernel_at(shape: Shape) -> int:
    """3, or 1 on maps where it would see nothing but padding."""
    return 3 if min(shape[1:]) > 2 else 1


@torch.no_grad()
def scaled(conv: nn.Conv2d, factor: float) -> nn.Conv2d:
    """The convolution, its weight times `factor`."""
    conv.weight.mul_(factor)
    return conv
