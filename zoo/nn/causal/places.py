"""Where a causal network is evaluated: at all pixels at once, or at one pixel of an image being drawn.

Layers that look at other pixels ask the place: ``at.convolve(layer, x)``. Everything else, gates, 1x1
convolutions, sums, is the same on a map (N, C, H, W) and on a pixel (N, C). At a pixel, each
convolution's inputs at the earlier pixels are in a memory, so that a pixel costs one column of the
network (Ramachandran et al. 2017, arXiv:1704.06001). A part of half the resolution is evaluated at every
second pixel of every second row; in between, its last output is used.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class Place:
    """All pixels at once; base of the other places."""

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """The convolution of a map."""
        return conv.everywhere(x)

    def once_a_row(self, part: Callable[..., Any], x: Tensor, context: Tensor | None) -> Any:
        """What a part of the network that sees only the rows above returns; use its maps by `here`."""
        return part(x, context, self)

    def here(self, at_row: Tensor) -> Tensor:
        """What a map of `once_a_row` is at this place."""
        return at_row

    def at_half_resolution(
        self, down: Any, part: Callable[..., Any], up: Any, x: Tensor
    ) -> tuple[Tensor, Any]:
        """``up(part(down(x)))`` of x's resolution, and what else the part returns, if it is evaluated here.

        Args:
            down: a `CausalConv2d` of stride 2.
            part: of a map of half the resolution, rounded up, and a place; returns such a map and more.
            up: a `DoublingConv2d`; of odd sizes the last row and column of its map are cut off.
            x: a map.
        """
        low, more = part(self.convolve(down, x), self)
        height, width = x.shape[-2:]
        return self.convolve(up, low)[..., :height, :width], more

    def fixed(self, layer: Callable[[Tensor], Tensor], context: Tensor) -> Tensor:
        """What depends only on the context."""
        return layer(context)


EVERYWHERE = Place()


@dataclass(slots=True)
class Cache:
    """Values kept for one layer while images are drawn; each is None until it is first needed.

    Attributes:
        inputs: of a convolution, at the pixels so far, with its padding.
        effective: its weight and bias as they are used.
        matrix: the same, the weight as a matrix.
        constant: output for the context.
        row: output in the current row.
        doubled: output of a transposed convolution in the current two rows.
    """

    inputs: Any = None
    effective: Any = None
    matrix: Any = None
    constant: Any = None
    row: Any = None
    doubled: Any = None


class LayerCaches:
    """A `Cache` for every layer; base of the memories.

    Attributes:
        caches: by layer.
    """

    def __init__(self) -> None:
        self.caches: dict[Any, Cache] = defaultdict(Cache)

    def constant(self, layer: Callable[[Tensor], Tensor], context: Tensor) -> Tensor:
        """A layer's output for the context, computed once; of the whole size, or of size 1 in space."""
        cache = self.caches[layer]
        if cache.constant is None:
            cache.constant = layer(context)
        return cache.constant


class Memory(LayerCaches):
    """Everything a network has computed for the images being drawn, at one resolution.

    Args:
        size: (H, W).
        margin: how far the layers that read the image look to any side.
        image: what they read, (N, C, H, W), as far as it is known; none at the coarser resolutions.
    """

    def __init__(self, size: tuple[int, int], *, margin: int = 0, image: Tensor | None = None) -> None:
        super().__init__()
        self.size, self.margin = size, margin
        self.image: Any = None
        if image is not None:
            padded = F.pad(image, (margin, margin, margin, 0))
            self.image = padded.contiguous(memory_format=torch.channels_last)
        self._coarser: Memory | None = None

    def write(self, row: int, column: int, pixel: Tensor) -> None:
        """Take in the pixel of the image that was drawn, (N, C)."""
        self.image[..., row + self.margin, column + self.margin] = pixel

    def coarser(self) -> "Memory":
        """The memory of half the resolution, rounded up."""
        if self._coarser is None:
            height, width = self.size
            self._coarser = Memory(((height + 1) // 2, (width + 1) // 2))
        return self._coarser

    def keep(self, conv: Any, x: Tensor, row: int, columns: slice) -> Tensor:
        """Take in the convolution's input in some columns of a row, (N, C, columns); returns all there is."""
        cache, (top, left, _) = self.caches[conv], conv.padding
        if cache.inputs is None:
            cache.inputs = self._blank(conv, x)
        seen: Tensor = cache.inputs
        count = columns.stop - columns.start
        seen.select(2, row + top).narrow(2, columns.start + left, count).copy_(x)
        return seen

    def _blank(self, conv: Any, x: Tensor) -> Tensor:
        """Zeros of the padded map's shape, a pixel's channels next to each other in memory."""
        (batch, channels), (height, width), (top, left, right) = x.shape[:2], self.size, conv.padding
        blank = x.new_zeros(batch, height + top, left + width + max(right, 0), channels)
        return blank.movedim(-1, 1)

    def window(self, conv: Any, x: Tensor, row: int, columns: slice) -> Tensor:
        """What the convolution sees from some columns of a row, x (N, C, columns) being its input there."""
        (height, width), (top, left, _) = conv.window, conv.padding
        if conv.reads_image:
            seen, above, before = self.image, self.margin - top, self.margin - left
        else:
            seen, above, before = self.keep(conv, x, row, columns), 0, 0
        count = columns.stop - columns.start + width - 1
        return seen.narrow(2, row + above, height).narrow(3, columns.start + before, count)

    def weight(self, conv: Any) -> Any:
        """The convolution's weight and bias as they are used, computed once."""
        cache = self.caches[conv]
        if cache.effective is None:
            cache.effective = conv.effective()
        return cache.effective

    def matrix(self, conv: Any) -> Any:
        """The same, the weight as a matrix (height width C, F)."""
        cache = self.caches[conv]
        if cache.matrix is None:
            weight, bias = self.weight(conv)
            matrix = weight.movedim(1, -1).flatten(1).t().contiguous()
            cache.matrix = matrix, weight.new_zeros(len(weight)) if bias is None else bias
        return cache.matrix


class Row(Place):
    """One row, of the parts that see only the rows above."""

    def __init__(self, memory: Memory, row: int) -> None:
        self.memory, self.row = memory, row
        self.columns = slice(0, memory.size[1])

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """(N, C, 1, W) -> (N, F, 1, W), fewer with a stride."""
        if conv.window != (1, 1):
            x = self.memory.window(conv, x[..., 0, :], self.row, self.columns)
        weight, bias = self.memory.weight(conv)
        return F.conv2d(x, weight, bias, stride=conv.stride)

    def at_half_resolution(
        self, down: Any, part: Callable[..., Any], up: Any, x: Tensor
    ) -> tuple[Tensor, Any]:
        """The part at every second row."""
        memory, odd, more = self.memory, self.row % 2, None
        cache = memory.caches[up]
        if odd:
            memory.keep(down, x[..., 0, :], self.row, self.columns)
        else:
            low, more = part(self.convolve(down, x), Row(memory.coarser(), self.row // 2))
            cache.doubled = up.apply_to(low, *memory.weight(up))
        return cache.doubled[..., odd : odd + 1, self.columns], more

    def fixed(self, layer: Callable[[Tensor], Tensor], context: Tensor) -> Tensor:
        """What depends only on the context, in this row."""
        constant = self.memory.constant(layer, context)
        return constant if constant.shape[-2:] == (1, 1) else constant[..., self.row : self.row + 1, :]


class Pixel(Place):
    """One pixel; its features are (N, C)."""

    def __init__(self, memory: Memory, row: int, column: int) -> None:
        self.memory, self.row, self.column = memory, row, column
        self.columns = slice(column, column + 1)

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """(N, C) -> (N, F)."""
        if conv.window != (1, 1):
            x = self.memory.window(conv, x[..., None], self.row, self.columns).movedim(1, -1).flatten(1)
        matrix, bias = self.memory.matrix(conv)
        return torch.addmm(bias, x, matrix)

    def once_a_row(self, part: Callable[..., Any], x: Tensor, context: Tensor | None) -> Any:
        """What the part returned at this row's first pixel."""
        cache = self.memory.caches[part]
        if self.column == 0:
            row = x[..., None, None].expand(*x.shape, 1, self.memory.size[1])
            cache.row = part(row, context, Row(self.memory, self.row))
        return cache.row

    def here(self, at_row: Tensor) -> Tensor:
        """This column of the row."""
        return at_row[..., 0, self.column]

    def at_half_resolution(
        self, down: Any, part: Callable[..., Any], up: Any, x: Tensor
    ) -> tuple[Tensor, Any]:
        """The part at every second pixel of every second row."""
        memory, more = self.memory, None
        if self.row % 2 or self.column % 2:
            memory.keep(down, x[..., None], self.row, self.columns)
        else:
            there = Pixel(memory.coarser(), self.row // 2, self.column // 2)
            low, more = part(self.convolve(down, x), there)
            doubled = up.apply_to(low[..., None, None], *memory.weight(up))
            self._kept(up, doubled)[..., self.column : self.column + 2] = doubled
        return memory.caches[up].doubled[..., self.row % 2, self.column], more

    def _kept(self, up: Any, doubled: Tensor) -> Tensor:
        """What `up` returned for two rows, (N, F, 2, W), W rounded up to even."""
        cache = self.memory.caches[up]
        if cache.doubled is None:
            width = 2 * self.memory.coarser().size[1]
            cache.doubled = doubled.new_zeros(*doubled.shape[:-1], width)
        return cache.doubled

    def fixed(self, layer: Callable[[Tensor], Tensor], context: Tensor) -> Tensor:
        """What depends only on the context, at this pixel."""
        constant = self.memory.constant(layer, context)
        same = constant.shape[-2:] == (1, 1)
        return constant[..., 0, 0] if same else constant[..., self.row, self.column]
