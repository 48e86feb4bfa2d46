import math

import pytest
import torch

from zoo.data import Binary, Grid, Unit
from zoo.data.encodings import bernoulli_pixels

ENCODINGS = [Binary(), Grid(), Unit()]


def ramp(levels):
    """(levels, 1, 1, 1): every value once."""
    return torch.arange(levels, dtype=torch.uint8)[:, None, None, None]


@pytest.mark.parametrize("levels", [2, 3, 16, 17, 255, 256])
@pytest.mark.parametrize(("encoding", "low"), [(Binary(), 0.0), (Grid(), -1.0), (Unit(), 0.0)])
def test_ends_are_hit_exactly(encoding, low, levels):
    x = encoding(ramp(levels), levels)
    assert x.dtype == torch.float32
    assert x[0].item() == low
    assert x[-1].item() == 1.0


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("encoding", [Grid(), Unit()])
def test_values_come_back(encoding, levels):
    k = ramp(levels)
    pictures = encoding.decode(encoding(k, levels))
    assert torch.equal((pictures * (levels - 1)).round().to(torch.uint8), k)


@pytest.mark.parametrize("levels", [2, 17, 32, 256])
def test_grid_values_are_the_nearest_floats(levels):
    k = ramp(levels)
    exact = (2 * k.double() - (levels - 1)) / (levels - 1)
    assert torch.equal(Grid()(k, levels), exact.float())


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_decode_clamps(encoding):
    picture = encoding.decode(torch.tensor([-7.0, 7.0]))
    assert picture.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
def test_binary_frequency_is_the_grey_level(levels):
    draws = 20_000
    images = ramp(levels).expand(levels, 1, 1, draws)
    x = Binary()(images, levels, torch.Generator().manual_seed(0))
    assert set(x.unique().tolist()) <= {0.0, 1.0}
    p = torch.arange(levels) / (levels - 1)
    error = (x.mean(dim=(1, 2, 3)) - p).abs()
    # 5 standard errors, over at most 256 levels: false alarm below 1.5e-4 (and the seed is fixed).
    assert (error <= 5 * (p * (1 - p) / draws).sqrt()).all()


def test_binary_noise_is_the_generators():
    images = torch.full((4, 1, 5, 5), 128, dtype=torch.uint8)
    first, second = (Binary()(images, 256, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, Binary()(images, 256, torch.Generator().manual_seed(4)))


def test_binary_leaves_two_levels_alone():
    images = torch.randint(2, (8, 1, 9, 9), dtype=torch.uint8)
    assert torch.equal(Binary()(images, 2), images.float())


def test_pixels_are_drawn_independently():
    images = torch.full((20_000, 1, 1, 2), 8, dtype=torch.uint8)
    x = bernoulli_pixels(images, 17, torch.Generator().manual_seed(0)).float().flatten(1)
    assert abs(torch.corrcoef(x.T)[0, 1].item()) < 5 / math.sqrt(20_000)


def test_encodings_are_values():
    assert Binary() == Binary()
    assert len({Binary(), Grid(), Unit(), Grid()}) == 3
