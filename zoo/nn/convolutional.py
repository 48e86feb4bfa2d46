"""The encoder and the decoder of a VAE, of the same blocks as the hierarchical models."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from zoo.nn.activations import elu
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.layers import Shape, project, require_images, strided


class ConvEncoder(nn.Module):
    """Images (B, C, H, W) to features (B, channels, H', W'): one gated block per stride.

    Args:
        image_shape: (C, H, W).
        channels: of every block.
        strides: of the blocks, from the image up.
        kernel: odd.
    """

    def __init__(
        self,
        image_shape: Shape,
        *,
        channels: int = 32,
        strides: Sequence[int] = (2, 1, 2),
        kernel: int = 3,
    ) -> None:
        super().__init__()
        shapes = block_shapes(image_shape, channels, strides)
        self.blocks = nn.Sequential(
            *(GatedResNet(a, b, kernel=kernel) for a, b in itertools.pairwise(shapes))
        )
        self.image_shape, self.out_shape = shapes[0], shapes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Features of x.

        Raises:
            ValueError: for images of another shape.
        """
        require_images(x, self.image_shape)
        return elu(self.blocks(x))


class ConvDecoder(nn.Module):
    """Vectors (B, D) to features (B, channels, H, W), the mirror of `ConvEncoder`; or maps of its resolution.

    Args:
        latent: D, or (D, H', W') of the resolution of the encoder's features.
        image_shape: (C, H, W).
        channels: of every block.
        strides: of the encoder's blocks, from the image up.
        kernel: odd.
    """

    def __init__(
        self,
        latent: int | Shape,
        image_shape: Shape,
        *,
        channels: int = 32,
        strides: Sequence[int] = (2, 1, 2),
        kernel: int = 3,
    ) -> None:
        super().__init__()
        shapes = block_shapes(image_shape, channels, strides)[::-1]
        shapes[-1] = (channels, *shapes[-1][1:])
        self.dense = project((latent,) if isinstance(latent, int) else latent, shapes[0])
        self.blocks = nn.Sequential(
            *(GatedResNet(a, b, kernel=kernel) for a, b in itertools.pairwise(shapes))
        )
        self.out_shape = shapes[-1]

    def forward(self, z: Tensor) -> Tensor:
        """Features of an image."""
        return elu(self.blocks(self.dense(z)))


def block_shapes(image_shape: Shape, channels: int, strides: Sequence[int]) -> list[Shape]:
    """The shapes between the blocks, from the image up."""
    shapes = [tuple(image_shape)]
    for stride in strides:
        shapes.append(strided((channels, *shapes[-1][1:]), stride))
    return shapes
