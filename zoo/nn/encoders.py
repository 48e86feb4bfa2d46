"""Encoders of images to a vector of features: ``encoder(image_shape, hidden)``."""

from collections.abc import Sequence

from zoo.nn.convolutional import ConvEncoder
from zoo.nn.dense import dense
from zoo.nn.layers import Shape, Shaped

__all__ = ["convolutional", "dense"]


def convolutional(
    image_shape: Shape,
    hidden: Sequence[int],
    *,
    channels: int = 8,
    strides: tuple[int, ...] = (2, 1, 2),
) -> Shaped:
    """Gated convolutional blocks, then a dense layer, (B, C, H, W) to (B, hidden[-1]).

    Args:
        image_shape: (C, H, W).
        hidden: widths, of which only the last is used.
        channels: of the blocks.
        strides: of the blocks, from the image up.
    """
    maps = ConvEncoder(image_shape, channels=channels, strides=strides)
    features = dense(maps.out_shape, hidden[-1:])
    return Shaped(features.out_shape, maps, features)
