"""Histograms and curves as pictures (3, H, W) in [0, 1], drawn with Pillow.

save_grid(histogram({"train": a, "test": b}, title="log p(x)")[None], "plot.png", scale=1)
"""

import colorsys
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

INK, PAPER = (30, 30, 30), (255, 255, 255)
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 40  # margins, in pixels


def histogram(
    values: Mapping[str, Tensor],
    *,
    title: str = "",
    label: str = "",
    bins: int = 40,
    size: tuple[int, int] = (480, 300),
) -> Tensor:
    """The density of each set of values, over common bins; what is not finite is left out.

    Args:
        values: tensors of any shape by name; at least one finite value among all.
        title: above the plot.
        label: below the horizontal axis.
        bins: of equal width between the smallest and the largest value.
        size: width and height in pixels.

    Returns:
        (3, height, width), floats in [0, 1].

    Raises:
        ValueError: if there is no finite value, or not one bin.
    """
    if bins < 1:
        raise ValueError(f"expected at least one bin; got {bins}")
    finite = {name: _finite(v) for name, v in values.items()}
    edges = torch.linspace(*_span([*finite.values()]), bins + 1, dtype=torch.float64)
    outlines = {name: _outline(v, edges) for name, v in finite.items() if len(v)}
    return _plot(outlines, title, label, size, floor=0.0)


def curves(
    points: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str = "",
    label: str = "",
    size: tuple[int, int] = (480, 300),
) -> Tensor:
    """Lines through points, one a name; points that are not finite are left out.

    Args:
        points: x and y, of one length, by name.
        title: above the plot.
        label: below the horizontal axis.
        size: width and height in pixels.

    Returns:
        (3, height, width), floats in [0, 1].

    Raises:
        ValueError: if there is no finite point, or x and y are of two lengths.
    """
    lines = {}
    for name, (x, y) in points.items():
        if len(x) != len(y):
            raise ValueError(f"expected as many x as y for {name!r}; got {len(x)} and {len(y)}")
        pairs = torch.tensor([list(x), list(y)], dtype=torch.float64).T
        lines[name] = pairs[pairs.isfinite().all(1)]
    return _plot(lines, title, label, size)


@dataclass(frozen=True)
class Axes:
    """Where a point of the data lies in the picture, whose y goes downward."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of (x, y)."""
        right = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            LEFT + right * (self.width - LEFT - RIGHT),
            self.height - BOTTOM - up * (self.height - TOP - BOTTOM),
        )


def ticks(low: float, high: float, at_most: int = 6) -> list[float]:
    """Round numbers in [low, high]: multiples of 1, 2 or 5 times a power of ten.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / (at_most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def colour_of(i: int) -> tuple[int, int, int]:
    """The colour of line i: hues a golden section apart, so that near ones differ, from blue on."""
    red, green, blue = colorsys.hsv_to_rgb((0.57 + 0.618034 * i) % 1, 0.8, 0.75 if i % 2 == 0 else 0.5)
    return round(255 * red), round(255 * green), round(255 * blue)


def _plot(
    lines: Mapping[str, Tensor], title: str, label: str, size: tuple[int, int], floor: float | None = None
) -> Tensor:
    """Lines (points, 2) by name, with axes and a legend."""
    from PIL import Image, ImageDraw

    xs, ys = ([line[:, i] for line in lines.values()] for i in (0, 1))
    low, high = _span(ys)
    image = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    legend = math.ceil(max(draw.textlength(name) for name in lines)) + RIGHT  # beside the lines, not on them
    heights = low if floor is None else floor, high + 0.05 * (high - low)
    axes = Axes(_span(xs), heights, size[0] - legend, size[1])
    _draw_axes(draw, axes, title, label)
    for i, (name, line) in enumerate(lines.items()):
        colour = colour_of(i)
        dots = [axes(x, y) for x, y in line.tolist()]
        draw.line(dots, fill=colour, width=2)
        if len(dots) == 1:
            (x, y), r = dots[0], 3
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        draw.text((size[0] - RIGHT, TOP + 14 * i), name, fill=colour, anchor="rt")
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(size[1], size[0], 3)
    return pixels.permute(2, 0, 1).float() / 255


def _draw_axes(draw: Any, axes: Axes, title: str, label: str) -> None:
    left, bottom = axes(axes.x[0], axes.y[0])
    right, top = axes(axes.x[1], axes.y[1])
    draw.line([(left, top), (left, bottom), (right, bottom)], fill=INK)
    draw.text((axes.width / 2, 8), title, fill=INK, anchor="mt")
    draw.text((axes.width / 2, axes.height - 4), label, fill=INK, anchor="mb")
    for x in ticks(*axes.x):
        at = axes(x, axes.y[0])
        draw.line([at, (at[0], bottom + 4)], fill=INK)
        draw.text((at[0], bottom + 6), f"{x:g}", fill=INK, anchor="mt")
    for y in ticks(*axes.y):
        at = axes(axes.x[0], y)
        draw.line([at, (left - 4, at[1])], fill=INK)
        draw.text((left - 6, at[1]), f"{y:g}", fill=INK, anchor="rm")


def _outline(values: Tensor, edges: Tensor) -> Tensor:
    """The corners of the histogram's steps, (points, 2), of area 1."""
    counts = torch.histogram(values, edges).hist
    density = counts / (len(values) * (edges[1] - edges[0]))
    corners_x = edges.repeat_interleave(2)
    corners_y = torch.cat([density.new_zeros(1), density.repeat_interleave(2), density.new_zeros(1)])
    return torch.stack([corners_x, corners_y], dim=1)


def _span(values: Sequence[Tensor]) -> tuple[float, float]:
    """Smallest and largest value, apart even where all are one.

    Raises:
        ValueError: if there is none.
    """
    together = torch.cat([torch.zeros(0, dtype=torch.float64), *values])
    if not len(together):
        raise ValueError("expected at least one finite value to draw; got none")
    low, high = (v.item() for v in together.aminmax())
    room = max(abs(low), abs(high), 1e-6) * 1e-3
    return (low - room, high + room) if high - low < room else (low, high)


def _finite(values: Tensor) -> Tensor:
    values = values.detach().double().cpu().flatten()
    return values[values.isfinite()]
