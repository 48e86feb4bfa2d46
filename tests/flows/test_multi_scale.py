"""Laws of flows over several scales."""

import pyro.distributions as dist
import pytest
import torch

from flows import ActNorm, AffineCoupling, OnChannels, Reshape, Scaling, multi_scale
from flows.builders import glow
from flows.multi_scale import halvings
from tests.flows.named.case import Case, density


def test_other_channels_are_bit_equal():
    flow = Case(lambda: OnChannels(AffineCoupling((2, 2, 3), hidden=(4,)), 5)).trained()
    x = torch.randn(4, 5, 2, 3, dtype=torch.float64)
    for y in (flow(x), flow.inv(x)):
        assert torch.equal(y[:, 2:], x[:, 2:])
        assert not torch.equal(y[:, 1], x[:, 1])


def test_on_channels_needs_as_many_and_one_shape():
    with pytest.raises(ValueError, match="at most 1 channels; got one of 2"):
        OnChannels(ActNorm((2, 2, 2)), 1)
    with pytest.raises(ValueError, match=r"from \(1, 2, 2\) to \(2, 2, 1\)"):
        OnChannels(Reshape((1, 2, 2), (2, 2, 1)), 3)


def test_latents_of_all_scales_are_the_image():
    """Of 8 x 8 pixels 32 leave at the first scale, 16 at the second, and the last has 16."""
    sizes = []

    def steps(shape):
        sizes.append(torch.Size(shape).numel())
        return [Scaling(shape)]

    flow = multi_scale((1, 8, 8), steps, scales=3)
    assert sorted(sizes) == [16, 32, 64]
    assert flow.in_shape == flow.event_shape == (1, 8, 8)


def test_whole_image_flow_against_its_jacobian():
    flow = Case(lambda: glow((1, 8, 8), depth=2, hidden=(6,), scales=3)).trained()
    y = torch.randn(1, 8, 8, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda t: flow.inverse_and_log_det(t)[0].flatten(), y)
    x, log_det = flow.inverse_and_log_det(y)
    expected = torch.linalg.slogdet(jacobian.view(64, 64)).logabsdet
    torch.testing.assert_close(log_det, expected, rtol=0, atol=1e-9)
    log_prob = dist.Normal(0.0, 1.0).log_prob(x).sum() + expected
    torch.testing.assert_close(density(flow).log_prob(y), log_prob, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "count"), [((1, 28, 28), 2), ((3, 3, 4), 0), ((1, 8, 4), 2), ((1, 1, 1), 0)]
)
def test_halvings(shape, count):
    assert halvings(shape) == count


def test_scales_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"3 scales .* 3 times; an image of 28 x 28 can be halved 2 times"):
        multi_scale((1, 28, 28), lambda shape: [ActNorm(shape)], scales=3)
    with pytest.raises(ValueError, match="1 scale or more; got 0"):
        multi_scale((1, 28, 28), lambda shape: [ActNorm(shape)], scales=0)
