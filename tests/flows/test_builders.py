"""Laws of whole flows: the defaults work for vectors and images, and what does not fit is named."""

import pytest
import torch

from flows import ActNorm
from flows.builders import flow_plus_plus, glow, nice, real_nvp

BUILDERS = pytest.mark.parametrize("build", [nice, real_nvp, glow, flow_plus_plus])
SMALL = {
    nice: {"hidden": (8,)},
    real_nvp: {"hidden": (8,)},
    glow: {"depth": 2, "hidden": (8,)},
    flow_plus_plus: {"width": 4, "blocks": 1, "components": 2},
}


def check_round_trip(flow, context=None):
    x = 3 + 2 * torch.randn(4, *flow.event_shape, dtype=torch.float64)
    with torch.no_grad():
        z, log_det = flow.double().inverse_and_log_det(x, context)  # sets the normalisations
        back, log_det_back = flow.call_and_log_det(z, context)
    assert flow.in_shape == flow.event_shape == z.shape[1:]
    torch.testing.assert_close(back, x, rtol=0, atol=1e-8)
    torch.testing.assert_close(log_det_back, -log_det, rtol=0, atol=1e-8)
    return z


@BUILDERS
@pytest.mark.parametrize("shape", [2, (5,), (1, 4, 4), (2, 4, 8)], ids=str)
def test_round_trip_by_default(build, shape):
    z = check_round_trip(build(shape))
    if build is not nice:
        assert z.abs().max() < 10


@BUILDERS
@pytest.mark.parametrize(("shape", "context"), [(4, 3), ((1, 4, 4), 3)], ids=str)
def test_takes_a_context(build, shape, context):
    flow = build(shape, context=context, **SMALL[build])
    check_round_trip(flow, torch.randn(4, context, dtype=torch.float64))


@pytest.mark.parametrize("build", [real_nvp, glow, flow_plus_plus])
def test_takes_a_map_at_every_scale(build):
    flow = build((1, 8, 8), context=(2, 8, 8), **SMALL[build])
    check_round_trip(flow, torch.randn(4, 2, 8, 8, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 3, 3), (1, 28, 28), (2, 2, 2), (1, 1, 2)], ids=str)
def test_real_nvp_takes_any_image(shape):
    check_round_trip(real_nvp(shape, **SMALL[real_nvp]))


def test_real_nvp_halves_28_pixels_twice():
    shapes = {m.event_shape for m in real_nvp((1, 28, 28), hidden=(4,)).modules() if isinstance(m, ActNorm)}
    assert {shape[1] for shape in shapes} == {28, 14, 7}


def test_attention():
    check_round_trip(flow_plus_plus((1, 4, 4), heads=2, **SMALL[flow_plus_plus]))


@BUILDERS
def test_one_dimension_cannot_be_coupled(build):
    with pytest.raises(ValueError, match="at least 2 features; got 1"):
        build(1)


@pytest.mark.parametrize("build", [glow, flow_plus_plus])
@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 4, 5)], ids=str)
def test_odd_sides_are_named(build, shape):
    with pytest.raises(ValueError, match=f"{shape[1]} x {shape[2]}"):
        build(shape)


@pytest.mark.parametrize(("build", "scales", "times"), [(real_nvp, 4, 3), (glow, 3, 3)])
def test_scales_that_do_not_fit_are_named(build, scales, times):
    with pytest.raises(ValueError, match=f"{scales} scales .* {times} times; an image of 28 x 28 .* 2 times"):
        build((1, 28, 28), scales=scales)


@pytest.mark.parametrize("build", [real_nvp, glow])
def test_vectors_have_no_scales(build):
    with pytest.raises(ValueError, match="scales=2 for vectors of 4"):
        build(4, scales=2)


@pytest.mark.parametrize("build", [real_nvp, glow, flow_plus_plus])
def test_two_numbers_are_no_image(build):
    with pytest.raises(ValueError, match=r"\(C, H, W\); got \(4, 4\)"):
        build((4, 4))
