"""Charts: their size, what they show, and what cannot be drawn."""

import math

import pytest
import torch
from PIL import Image

from zoo.analysis.pictures import save_grid
from zoo.analysis.plots import curves, histogram

COLOURS = [(0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)]  # of matplotlib's first two lines


def columns_of(plot, index):
    """Where a line's own colour is drawn left of the legend, columns of pixels."""
    colour = torch.tensor(COLOURS[index]).view(3, 1, 1) / 255
    drawn = ((plot - colour).abs() < 0.1).all(0)
    return drawn[:, : int(plot.shape[2] * 0.8)].any(0).nonzero().flatten().double()


@pytest.mark.parametrize("size", [(320, 200), (960, 480)])
def test_a_plot_is_a_picture_of_its_size(size):
    for plot in (
        histogram({"a": torch.randn(100)}, size=size, title="title", label="nats"),
        curves({"a": ([0, 1], [2.0, 3.0])}, size=size),
    ):
        assert plot.shape == (3, size[1], size[0])
        assert plot.min() >= 0
        assert plot.max() == 1


def test_plots_are_saved_as_they_are(tmp_path):
    path = save_grid(histogram({"a": torch.randn(100)})[None], tmp_path / "plot.png", scale=1)
    with Image.open(path) as picture:
        assert picture.size == (480, 300)


def test_sets_share_their_bins():
    plot = histogram({"low": torch.zeros(50), "high": torch.ones(50) * 10})
    plot = plot[:, : plot.shape[1] // 2]  # above the empty bins
    low, high = columns_of(plot, 0), columns_of(plot, 1)
    assert low.max() < high.min()


def test_a_curve_lies_where_its_points_are():
    plot = curves({"left": ([0, 1], [0.0, 1.0]), "right": ([9, 10], [0.0, 1.0])})
    assert columns_of(plot, 0).max() < columns_of(plot, 1).min()


@pytest.mark.parametrize(
    "values", [[3.0], [0.0, 0.0], [1e-9, 2e-9], [-1e12, 1e12], [1.0, math.inf, math.nan], [-5.0, -5.0]]
)
def test_any_finite_values_can_be_drawn(values):
    assert len(columns_of(histogram({"a": torch.tensor(values, dtype=torch.float64)}), 0))
    assert len(columns_of(curves({"a": (range(len(values)), values)}), 0))


@pytest.mark.parametrize("plot", [lambda: histogram({}), lambda: curves({"a": ([1], [math.nan])})])
def test_nothing_to_draw(plot):
    with pytest.raises(ValueError, match="at least one finite value to draw"):
        plot()


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="at least one bin; got 0"):
        histogram({"a": torch.ones(3)}, bins=0)
    with pytest.raises(ValueError, match="as many x as y for 'a'; got 2 and 1"):
        curves({"a": ([1, 2], [1])})
