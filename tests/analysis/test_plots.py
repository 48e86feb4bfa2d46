"""Histograms and curves: what is drawn is where the numbers say."""

import itertools
import math

import pytest
import torch

from zoo.analysis.pictures import save_grid
from zoo.analysis.plots import BOTTOM, LEFT, RIGHT, TOP, Axes, _outline, colour_of, curves, histogram, ticks


def coloured(plot, i):
    """Which pixels have the i-th colour."""
    colour = torch.tensor(colour_of(i))[:, None, None]
    return ((plot * 255).round() == colour).all(0)


def test_a_plot_is_a_picture_of_its_size():
    plot = histogram({"a": torch.randn(100)}, size=(320, 200), title="title", label="nats")
    assert plot.shape == (3, 200, 320)
    assert plot.min() >= 0
    assert plot.max() == 1


def test_plots_are_saved_as_they_are(tmp_path):
    from PIL import Image

    plot = histogram({"a": torch.randn(100)})
    path = save_grid(plot[None], tmp_path / "plot.png", scale=1)
    with Image.open(path) as picture:
        assert picture.size == (480, 300)


def test_the_steps_of_a_histogram_have_area_one():
    edges = torch.linspace(-1, 3, 9, dtype=torch.float64)
    corners = _outline(torch.rand(1000, dtype=torch.float64) * 4 - 1, edges)
    assert torch.trapezoid(corners[:, 1], corners[:, 0]) == pytest.approx(1)
    assert corners[0].tolist() == [-1, 0]
    assert corners[-1].tolist() == [3, 0]


def test_the_tallest_bin_is_where_most_values_are():
    plot = histogram({"a": torch.tensor([0.0] * 10 + [9.0] * 90)}, bins=10)
    inside = coloured(plot, 0)[TOP + 14 : -BOTTOM, LEFT:-RIGHT]  # below the legend
    heights = inside.float().argmax(0)[inside.any(0)]  # first row that is drawn
    columns = inside.any(0).nonzero().flatten()
    assert columns[heights.argmin()] > 0.85 * inside.shape[1]


def test_each_set_has_its_colour_and_common_bins():
    plot = histogram({"low": torch.zeros(50), "high": torch.ones(50) * 10})
    below_legend = slice(TOP + 40, -BOTTOM - 3)
    low, high = (coloured(plot, i)[below_legend].nonzero()[:, 1].double().mean() for i in (0, 1))
    assert low < LEFT + 40
    assert high > plot.shape[2] - RIGHT - 80  # left of the legend


@pytest.mark.parametrize(
    "values", [[3.0], [0.0, 0.0], [1e-9, 2e-9], [-1e12, 1e12], [1.0, math.inf, math.nan], [-5.0, -5.0]]
)
def test_any_finite_values_can_be_drawn(values):
    assert coloured(histogram({"a": torch.tensor(values, dtype=torch.float64)}), 0).any()
    assert coloured(curves({"a": (range(len(values)), values)}), 0).any()


def test_a_curve_goes_through_its_points():
    plot = curves({"a": ([0, 1, 2], [0.0, 1.0, 0.0])}, size=(400, 200))
    drawn = coloured(plot, 0)[TOP:-BOTTOM]
    assert drawn[: (200 - TOP - BOTTOM) // 8].nonzero()[:, 1].double().mean() == pytest.approx(
        LEFT + (400 - LEFT - RIGHT) / 2, abs=25
    )


def test_axes_put_the_corners_at_the_margins():
    axes = Axes((0.0, 2.0), (-1.0, 1.0), 300, 200)
    assert axes(0.0, -1.0) == (LEFT, 200 - BOTTOM)
    assert axes(2.0, 1.0) == (300 - RIGHT, TOP)


@pytest.mark.parametrize("low", [-37.2, 0.0, 1e-5, 123456.0])
@pytest.mark.parametrize("width", [1e-4, 0.7, 3.0, 250.0])
def test_ticks_are_round_few_and_inside(low, width):
    found = ticks(low, low + width)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 * max(1, abs(low)) <= t <= low + width * (1 + 1e-9) for t in found)
    steps = {round((b - a) / (found[1] - found[0]), 3) for a, b in itertools.pairwise(found)}
    assert steps == {1.0}


@pytest.mark.parametrize("plot", [lambda: histogram({}), lambda: curves({"a": ([1], [math.nan])})])
def test_nothing_to_draw(plot):
    with pytest.raises(ValueError, match="at least one finite value to draw"):
        plot()


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="at least one bin; got 0"):
        histogram({"a": torch.ones(3)}, bins=0)
    with pytest.raises(ValueError, match="as many x as y for 'a'; got 2 and 1"):
        curves({"a": ([1, 2], [1])})


def test_no_two_of_thirty_lines_have_one_colour():
    assert len({colour_of(i) for i in range(30)}) == 30
