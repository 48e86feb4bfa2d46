"""Projections between shapes, resampling between resolutions, scales."""

import itertools

import pytest
import torch

from zoo.nn.layers import project, resample, strided
from zoo.nn.scales import softplus_scale, wide_softplus_scale

VECTOR, MAP = (6,), (2, 3, 4)


@pytest.mark.parametrize(("a", "b"), list(itertools.product([VECTOR, MAP, (5, 3, 4)], repeat=2)), ids=str)
def test_projection_has_its_shape_and_is_affine(a, b):
    layer = project(a, b)
    x, y = torch.randn(2, 3, *a).double()
    layer.double()
    assert layer(x).shape == (3, *b)
    assert layer.out_shape == b
    torch.testing.assert_close(layer((x + y) / 2), (layer(x) + layer(y)) / 2)


def test_maps_of_different_resolution_are_not_projected():
    with pytest.raises(ValueError, match=r"equal resolution; got \(2, 3, 4\) and \(2, 4, 4\)"):
        project((2, 3, 4), (2, 4, 4))


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(28, 28), (7, 7), (5, 8), (3, 3), (2, 9), (1, 1), (1, 6)], ids=str)
def test_resampling_goes_there_and_back(size, stride):
    large = (2, *size)
    less = strided((3, *size), stride)
    down, up = resample(large, less, 3), resample(less, large, 3)
    assert down(torch.randn(2, *large)).shape == (2, *less)
    assert up(torch.randn(2, *less)).shape == (2, *large)


@pytest.mark.parametrize("shapes", [((1, 7, 7), (1, 5, 5)), ((1, 5, 5), (1, 7, 7)), ((1, 4, 2), (1, 2, 4))])
def test_resolutions_that_no_stride_joins_are_refused(shapes):
    with pytest.raises(ValueError, match="no stride leads from resolution"):
        resample(*shapes, 3)


def test_strides_round_up():
    assert [strided((1, 28, 28), s)[1] for s in (1, 2, 3, 4, 8, 16)] == [28, 14, 10, 7, 4, 2]


@pytest.mark.parametrize(("scale", "floor"), [(softplus_scale, 1e-3), (wide_softplus_scale, 1.0)])
def test_scales_are_positive_and_rise(scale, floor):
    raw = torch.linspace(-100, 100, 2001, dtype=torch.float64)
    values = scale(raw)
    assert (values >= floor).all()
    rounding = 4 * torch.finfo(values.dtype).eps * values[1:]  # neighbours may be rounded either way
    assert (values.diff() >= -rounding).all()
    assert values.isfinite().all() if scale is softplus_scale else True


def test_zero_means_a_scale_of_about_one():
    assert softplus_scale(torch.zeros(())).item() == pytest.approx(1.001)
