"""Where a causal network is evaluated: everywhere at once, or at one pixel of an image that is being drawn.

Layers that look at other pixels ask the place: ``at.convolve(layer, x)``. Everything else, gates, 1x1
convolutions, sums, is the same on a map (N, C, H, W) and on a pixel (N, C). At a pixel, each
convolution's inputs at the earlier pixels are in a memory, so that a pixel costs one column of the
network (Ramachandran et al. 2017, arXiv:1704.06001).
"""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor


class Place:
    """All pixels at once; base of the other places."""

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """The convolution of a map."""
        return conv.everywhere(x)

    def once_a_row(self, part: Callable[..., Any], x: Tensor, context: Tensor | None) -> Any:
        """What a part of the network that sees the rows above alone returns."""
        return part(x, context, self)

    def fixed(self, layer: Callable[[Tensor], Tensor], context: Tensor) -> Tensor:
        """What depends on the context alone."""
        return layer(context)


EVERYWHERE = Place()


class Memory:
    """What a network has seen of the images that are being drawn.

    Args:
        network: a `CausalNetwork`.
        image: x (N, C, H, W) as far as it is known.
    """

    def __init__(self, network: Any, image: Tensor) -> None:
        self.network, self.size = network, image.shape[-2:]
        self.margin = network.margin
        self.image = _padded(network.embed(image), self.margin, self.margin, self.margin)
        self.inputs: dict[Any, Tensor] = {}
        self.weights: dict[Any, Tensor] = {}
        self.matrices: dict[Any, Tensor] = {}
        self.constants: dict[Any, Tensor] = {}
        self.rows: dict[Any, Any] = {}

    def write(self, row: int, column: int, pixel: Tensor) -> None:
        """Take in the pixel (N, C, 1, 1) that was drawn."""
        m = self.margin
        self.image[..., row + m, column + m] = self.network.embed(pixel)[..., 0, 0]

    def window(self, conv: Any, x: Tensor, row: int, columns: slice) -> Tensor:
        """What the convolution sees from some columns of a row, x (N, C, columns) being its input there."""
        (height, width), (top, left, _) = conv.window, conv.padding
        if conv.reads_image:
            seen, above, before = self.image, self.margin - top, self.margin - left
        else:
            seen, above, before = self._input(conv, x), 0, 0
            seen[..., row + top, columns.start + left : columns.stop + left] = x
        return seen[
            ...,
            row + above : row + above + height,
            columns.start + before : columns.stop + before + width - 1,
        ]

    def weight(self, conv: Any) -> Tensor:
        """The convolution's masked weight, computed once."""
        if conv not in self.weights:
            self.weights[conv] = conv.masked_weight()
        return self.weights[conv]

    def flat_weight(self, conv: Any) -> Tensor:
        """The same as a matrix (F, C height width)."""
        if conv not in self.matrices:
            self.matrices[conv] = self.weight(conv).flatten(1)
        return self.matrices[conv]

    def _input(self, conv: Any, x: Tensor) -> Tensor:
        if conv not in self.inputs:
            top, left, right = conv.padding
            self.inputs[conv] = _padded(x.new_zeros(*x.shape[:2], *self.size), top, left, max(right, 0))
        return self.inputs[conv]

    def constant(self, layer: Callable[[Tensor], Tensor], context: Tensor) -> Tensor:
        """What a layer makes of the context, computed once, of the image's size or (N, C, 1, 1)."""
        if layer not in self.constants:
            self.constants[layer] = layer(context)
        return self.constants[layer]


class Row(Place):
    """One row, of the parts that see the rows above alone."""

    def __init__(self, memory: Memory, row: int) -> None:
        self.memory, self.row = memory, row

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """(N, C, 1, W) -> (N, F, 1, W)."""
        window = self.memory.window(conv, x[..., 0, :], self.row, slice(0, x.shape[-1]))
        return F.conv2d(window, self.memory.weight(conv), conv.bias)

    def fixed(self, layer: Callable[[Tensor], Tensor], context: Tensor) -> Tensor:
        """What depends on the context alone, in this row."""
        constant = self.memory.constant(layer, context)
        return constant if constant.shape[-2] == 1 else constant[..., self.row : self.row + 1, :]


class Pixel(Place):
    """One pixel; its features are (N, C)."""

    def __init__(self, memory: Memory, row: int, column: int) -> None:
        self.memory, self.row, self.column = memory, row, column

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """(N, C) -> (N, F)."""
        if conv.window != (1, 1):
            columns = slice(self.column, self.column + 1)
            x = self.memory.window(conv, x[..., None], self.row, columns).flatten(1)
        return F.linear(x, self.memory.flat_weight(conv), conv.bias)

    def once_a_row(self, part: Callable[..., Any], x: Tensor, context: Tensor | None) -> Any:
        """What the part returns for this row, of which this pixel's column."""
        if self.column == 0:
            row = x[..., None, None].expand(*x.shape, 1, self.memory.size[1])
            self.memory.rows[part] = part(row, context, Row(self.memory, self.row))
        return [at_row[..., 0, self.column] for at_row in self.memory.rows[part]]

    def fixed(self, layer: Callable[[Tensor], Tensor], context: Tensor) -> Tensor:
        """What depends on the context alone, at this pixel."""
        constant = self.memory.constant(layer, context)
        same = constant.shape[-2:] == (1, 1)
        return constant[..., 0, 0] if same else constant[..., self.row, self.column]


def _padded(x: Tensor, top: int, left: int, right: int) -> Tensor:
    return F.pad(x, (left, right, top, 0))
