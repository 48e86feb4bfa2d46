"""From stored images, integers k = 0 .. levels-1, to the numbers a likelihood takes.

The set does not choose its encoding and neither does the likelihood: the user passes one, e.g.
`Binary()` for a Bernoulli likelihood, `Grid()` for discretised logistics, `Unit()` for flows that
dequantise.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from distributions.grid import Grid as Levels


class Encoding(Protocol):
    """Turns integer images into a likelihood's numbers, and those numbers into pictures."""

    def __call__(self, images: Tensor, levels: int, generator: torch.Generator | None = None) -> Tensor:
        """Encode uint8 `images` of any shape, values 0 .. levels-1, as float32 of that shape."""

    def decode(self, x: Tensor) -> Tensor:
        """Map encoded values, or means of them, to [0, 1]; what lies outside is clamped."""


def bernoulli_pixels(images: Tensor, levels: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw each sub-pixel from Bernoulli(k / (levels-1)), as a bool tensor of the images' shape.

    j < k for j uniform on {0, .., levels-2} has exactly that probability: 0 stays 0, levels-1 is
    always 1, and images of two levels come back as they are.

    Args:
        images: uint8, values 0 .. levels-1.
        levels: 2 .. 256.
        generator: on the images' device; torch's global one where it is None.
    """
    uniform = torch.randint(
        levels - 1, images.shape, dtype=torch.uint8, device=images.device, generator=generator
    )
    return uniform < images


@dataclass(frozen=True)
class Binary:
    """x ~ Bernoulli(k / (levels-1)), in {0., 1.}: dynamic binarisation, other draws each time.

    Images of two levels are not random: they come back as they are.
    """

    def __call__(self, images: Tensor, levels: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw float32 zeros and ones from uint8 `images`; the noise comes from `generator`."""
        return bernoulli_pixels(images, levels, generator).float()

    def decode(self, x: Tensor) -> Tensor:
        """Clamp probabilities or pixels to [0, 1]."""
        return x.clamp(0.0, 1.0)


@dataclass(frozen=True)
class Grid:
    """x = 2k / (levels-1) - 1, in [-1, 1]: the values of `distributions.Grid`, the ends exactly."""

    def __call__(self, images: Tensor, levels: int, generator: torch.Generator | None = None) -> Tensor:
        """Scale uint8 `images` to float32; `generator` is not used."""
        return Levels(levels).value(images.float())

    def decode(self, x: Tensor) -> Tensor:
        """Map x to (x+1) / 2, clamped to [0, 1]."""
        return ((x + 1.0) / 2.0).clamp(0.0, 1.0)


@dataclass(frozen=True)
class Unit:
    """x = k / (levels-1), in [0, 1]: both ends are hit exactly."""

    def __call__(self, images: Tensor, levels: int, generator: torch.Generator | None = None) -> Tensor:
        """Scale uint8 `images` to float32; `generator` is not used."""
        return images.float() / (levels - 1)

    def decode(self, x: Tensor) -> Tensor:
        """Clamp to [0, 1]."""
        return x.clamp(0.0, 1.0)
