import pytest
import torch

from distributions import Grid
from tests.contracts import assert_equal_up_to_rounding


@pytest.mark.parametrize("levels", [2, 3, 17, 32, 256, 65536])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_level_undoes_value(levels, dtype):
    grid = Grid(levels)
    level = torch.arange(levels, dtype=dtype)
    x = grid.value(level)
    assert x[0] == -1
    assert x[-1] == 1
    assert torch.equal(grid.level(x), level)
    assert grid.check(x).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_edges_lie_between_values(dtype):
    grid = Grid(256)
    level = torch.arange(256, dtype=dtype)
    x, above = grid.value(level), grid.edge_above(level)
    torch.testing.assert_close(above[:-1], (x[1:] + x[:-1]) / 2)
    assert_equal_up_to_rounding(grid.edge_above(level - 1)[1:], above[:-1], operations=3)


@pytest.mark.parametrize(
    "scaled",
    [
        lambda x: 2 * x.float() / 255 - 1,
        lambda x: (x.float() / 255 - 0.5) / 0.5,
        lambda x: x.float() / 127.5 - 1,
        lambda x: (2 * x.float() / 255 - 1).half(),
        lambda x: 2 * x.double() / 255 - 1,
    ],
)
def test_usual_ways_to_scale_an_image_are_on_the_grid(scaled):
    image = torch.arange(256, dtype=torch.uint8)
    x = scaled(image)
    assert Grid(256).check(x).all()
    assert torch.equal(Grid(256).level(x).to(torch.uint8), image)


@pytest.mark.parametrize(
    "scaled",
    [
        lambda x: x,
        lambda x: x.float(),
        lambda x: x.float() / 255,
        lambda x: 2 * x.float() / 256 - 1,
        lambda x: (2 * x.float() / 255 - 1).bfloat16(),
        lambda x: 2 * (x.float() + 0.37) / 256 - 1,
    ],
)
def test_other_ways_are_not(scaled):
    with pytest.raises(ValueError, match=r"expected x on the grid 2k/255 - 1, k = 0\.\.255; got x ="):
        Grid(256).require(scaled(torch.arange(256, dtype=torch.uint8)))


def test_message_names_grid_value_and_cure():
    with pytest.raises(ValueError, match="grid") as error:
        Grid(256).require(torch.tensor([-1.0, 0.3]))
    assert str(error.value) == (
        "expected x on the grid 2k/255 - 1, k = 0..255; got x = 0.3 (torch.float32); "
        "scale integer images 0..255 with 2 * x / 255 - 1"
    )


@pytest.mark.parametrize("levels", [1, 0, -3])
def test_too_few_levels(levels):
    with pytest.raises(ValueError, match=f"at least 2 levels; got {levels}"):
        Grid(levels)
