"""Charts as images (3, H, W) in [0, 1], for TensorBoard and PNG files, drawn by matplotlib."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

DPI = 100


def histogram(
    sets: Mapping[str, Tensor],
    *,
    bins: int = 40,
    size: tuple[int, int] = (480, 300),
    title: str = "",
    label: str = "",
) -> Tensor:
    """Densities of several sets of values over common bins.

    Args:
        sets: values (N,) by name; what is not finite is left out.
        bins: how many.
        size: width and height in pixels.
        title: above the axes.
        label: of the values.

    Raises:
        ValueError: if there is no bin, or nothing finite to draw.
    """
    if bins < 1:
        raise ValueError(f"expected at least one bin; got {bins}")
    finite = {name: values[values.isfinite()].double().cpu().numpy() for name, values in sets.items()}
    everything = np.concatenate([*finite.values(), np.zeros(0)])
    edges = np.linspace(*_extent(everything), bins + 1)
    figure, axes = _axes(size, title, label)
    for name, values in finite.items():
        if len(values):
            axes.hist(values, edges, density=True, histtype="step", linewidth=1.5, label=name)
    axes.set_yticks([])
    return _drawn(figure, axes)


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    size: tuple[int, int] = (480, 300),
    title: str = "",
    label: str = "",
) -> Tensor:
    """Lines through points, x ascending.

    Args:
        lines: x and y by name; points that are not finite are left out.
        size: width and height in pixels.
        title: above the axes.
        label: of x.

    Raises:
        ValueError: if there are not as many x as y, or nothing finite to draw.
    """
    figure, axes = _axes(size, title, label)
    drawn = 0
    for name, (x, y) in lines.items():
        if len(x) != len(y):
            raise ValueError(f"expected as many x as y for {name!r}; got {len(x)} and {len(y)}")
        points = np.array([*zip(x, y, strict=True)], dtype=float).reshape(-1, 2)
        points = points[np.isfinite(points).all(1)]
        axes.plot(*points.T, marker="." if len(points) == 1 else "", linewidth=1.5, label=name)
        drawn += len(points)
    if not drawn:
        raise ValueError("expected at least one finite value to draw; got none")
    return _drawn(figure, axes)


def _axes(size: tuple[int, int], title: str, label: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # half a second, which only what draws needs to spend

    width, height = size
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=label)
    axes.title.set_fontsize(9)
    axes.tick_params(labelsize=8)
    return figure, axes


def _drawn(figure: Any, axes: Any) -> Tensor:
    """The pixels, with the legend beside the axes, where it covers nothing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def _extent(values: Any) -> tuple[float, float]:
    """The least and the largest value; an interval of positive width around a single one."""
    if not len(values):
        raise ValueError("expected at least one finite value to draw; got none")
    low, high = float(values.min()), float(values.max())
    if high - low > 1e-12 * max(abs(low), abs(high)):
        return low, high
    margin = 0.5 * max(1e-6, abs(low)) if low else 0.5
    return low - margin, high + margin
