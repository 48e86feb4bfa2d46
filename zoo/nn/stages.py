"""The deterministic stages of a hierarchy of latent variables: of VAE, LVAE and BIVA (arXiv:1902.02102).

Layers count upward from the image, 1 ... L. Stage i is a few residual blocks upward, from layer i - 1 to
layer i (inference), and as many downward (generation). A block is a part that can be swapped:

    block(in_shape, out_shape, kernel=3, aux_shape=None, residual=True) -> module called with (x, aux)
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.conversion import Natural
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.layers import Shape, if_image, project, require_images, strided

Block = Callable[..., Any]


@dataclass(frozen=True)
class Stage:
    """One layer i of the hierarchy, in inference and in generation.

    Attributes:
        latent: D of z_i (and of each of z_i_bu and z_i_td): a vector; or the channels of a feature map of
            this layer's resolution, where `spatial`.
        filters: channels of the blocks.
        kernel: of the blocks, odd.
        stride: from the layer below to this one; it sits on the last block upward, the first downward.
        blocks: residual blocks.
        spatial: whether the latents are feature maps.
        head_kernel: of the convolution to a spatial latent's parameters; 0 for one as large as the map.
    """

    latent: int
    filters: int = 64
    kernel: int = 3
    stride: int = 1
    blocks: int = 3
    spatial: bool = False
    head_kernel: int = 1

    def features(self, below: Shape) -> Shape:
        """The shape of this layer's features, `below` being that of the layer below."""
        return strided((self.filters, *below[1:]), self.stride)

    def event(self, features: Shape) -> Shape:
        """The event shape of each latent."""
        return (self.latent, *features[1:]) if self.spatial else (self.latent,)


def stages(
    *,
    latents: tuple[int, ...] = (16, 8, 4),
    strides: tuple[int, ...] = (2, 1, 2),
    kernels: tuple[int, ...] = (3,),
    blocks: tuple[int, ...] = (2,),
    spatial: tuple[bool, ...] = (False,),
    head_kernel: Natural = 1,
    filters: int = 24,
) -> list[Stage]:
    """Stages 1 ... L from lists, the layer nearest the image first; a list of one entry serves all layers.

    Args:
        latents: size of each of z_i's variables: of the vector, or channels of the feature map.
        strides: from the layer below to each layer.
        kernels: of each layer's blocks, odd.
        blocks: residual blocks of each layer.
        spatial: whether a layer's latents are feature maps.
        head_kernel: of the convolutions to feature maps' parameters; 0 for one as large as the map.
        filters: channels of every block.

    Raises:
        ValueError: for lists of different lengths, an even kernel, or no layer.
    """
    if not latents:
        raise ValueError("expected at least one layer; got latents=()")
    lists = {"strides": strides, "kernels": kernels, "blocks": blocks, "spatial": spatial}
    for name, values in lists.items():
        if len(values) not in (1, len(latents)):
            raise ValueError(f"expected {name} of one entry or one per layer, {len(latents)}; got {values}")
    if not all(k % 2 for k in kernels):
        raise ValueError(f"expected odd kernels; got {kernels}")
    each = [latents, *(v * len(latents) if len(v) == 1 else v for v in lists.values())]
    return [
        Stage(
            latent,
            filters=filters,
            stride=stride,
            kernel=kernel,
            blocks=count,
            spatial=maps,
            head_kernel=head_kernel,
        )
        for latent, stride, kernel, count, maps in zip(*each, strict=True)
    ]


def feature_shapes(image_shape: Shape, stages: Sequence[Stage]) -> list[Shape]:
    """Shape of the image and of the features of every layer."""
    shapes = [tuple(image_shape)]
    for stage in stages:
        shapes.append(stage.features(shapes[-1]))
    return shapes


class Upward(nn.Module):
    """The blocks of stage i from the layer below, all with the same auxiliary input.

    Args:
        stage: layer i.
        start: shape of the input: a vector, which is first mapped to the layer below; or a map (C, H, W).
        below: shape of the features of the layer below, or of the image.
        aux: shape of the auxiliary input, if there is one.
        block: makes a block.
    """

    def __init__(
        self,
        stage: Stage,
        start: Shape,
        below: Shape,
        *,
        aux: Shape | None = None,
        block: Block = GatedResNet,
    ) -> None:
        super().__init__()
        dense = len(start) == 1
        self.expand = project(start, below) if dense else nn.Identity()
        self.takes = if_image(start)
        start = below if dense else start
        self.out_shape = stage.features(start)
        shapes = [start, *[(stage.filters, *start[1:])] * (stage.blocks - 1), self.out_shape]
        self.blocks = nn.ModuleList(
            block(a, b, kernel=stage.kernel, aux_shape=aux) for a, b in itertools.pairwise(shapes)
        )

    def forward(self, d: Tensor, aux: Tensor | None = None) -> Tensor:
        """The features of layer i.

        Raises:
            ValueError: for images of another shape.
        """
        if self.takes is not None:
            require_images(d, self.takes)
        d = self.expand(d)
        for block in self.blocks:
            d = block(d, aux)
        return d


class TwoPaths(nn.Module):
    """Stage i of BIVA's inference: bottom-up features, which the latents pass through, and top-down ones.

        d_bu_i = blocks(z_{i-1}^BU; aux = d_bu_{i-1}, d_td_{i-1})
        d_td_i = blocks(d_td_{i-1}; aux = d_bu_i)

    Args:
        stage: layer i.
        below: shape of the features of the layer below, or of the image.
        start: shape of the input of d_bu_i; None at the first layer, which takes the image and has no
            auxiliary input.
        block: makes a block.
    """

    def __init__(
        self, stage: Stage, below: Shape, start: Shape | None = None, *, block: Block = GatedResNet
    ) -> None:
        super().__init__()
        aux = (2 * below[0], *below[1:]) if start else None
        self.out_shape = stage.features(below)
        self.bottom_up = Upward(stage, start or below, below, aux=aux, block=block)
        self.top_down = Upward(stage, below, below, aux=self.out_shape, block=block)

    def forward(self, z: Tensor, d_td: Tensor, aux: Tensor | None) -> tuple[Tensor, Tensor]:
        """d_bu_i and d_td_i from z_{i-1}^BU, d_td_{i-1} and all of the features below (B, 2C, H, W)."""
        d_bu = self.bottom_up(z, aux)
        return d_bu, self.top_down(d_td, d_bu)


class Decoder(nn.Module):
    """z_i and the features of the layer above to the features of layer i, the last of them d_p_i.

    Args:
        stage: layer i.
        latent: event shape of all of z_i.
        features: shape of the layer's features.
        below: shape of the features of the layer below, the resolution that d_p_i has.
        above: shapes of the block outputs of layer i+1 (skip connections), none at the top.
        block: makes a block.
    """

    def __init__(
        self,
        stage: Stage,
        latent: Shape,
        features: Shape,
        below: Shape,
        *,
        above: Sequence[Shape] = (),
        block: Block = GatedResNet,
    ) -> None:
        super().__init__()
        self.expand = nn.Identity() if stage.spatial else project(latent, features)
        start = latent if stage.spatial else features
        self.out_shapes = [(stage.filters, *below[1:])] * stage.blocks
        shapes = itertools.pairwise([start, *self.out_shapes])
        self.blocks = nn.ModuleList(
            block(a, b, kernel=stage.kernel, aux_shape=aux, residual=j > 0)
            for j, ((a, b), aux) in enumerate(zip(shapes, _padded(above, stage.blocks), strict=True))
        )
        self.skips = bool(above)

    def forward(self, z: Tensor, above: list[Tensor] | None) -> list[Tensor]:
        """The outputs of all blocks."""
        d, outputs = self.expand(z), []
        for block, aux in zip(
            self.blocks, _padded(above if self.skips else None, len(self.blocks)), strict=True
        ):
            d = block(d, aux)
            outputs.append(d)
        return outputs


def joined(*features: Tensor) -> Tensor:
    """Feature maps of equal resolution side by side, (B, C + C' + ..., H, W)."""
    return torch.cat(features, dim=1)


def _padded(above: Sequence[Any] | None, length: int) -> list[Any]:
    """One auxiliary input per block: those above in order, the last of them for any blocks beyond."""
    if not above:
        return [None] * length
    return [above[min(j, len(above) - 1)] for j in range(length)]
