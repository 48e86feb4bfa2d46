"""Laws of the logit: data in an interval."""

import pyro.distributions as dist
import pytest
import torch

from flows import Logit
from tests.flows.named.case import density

ALPHAS = pytest.mark.parametrize("alpha", [0.0, 0.05, 0.3])


@ALPHAS
def test_round_trip_and_log_det(alpha):
    flow, x = Logit(3, alpha=alpha), 2 * torch.randn(50, 3, dtype=torch.float64)
    y, log_det = flow.call_and_log_det(x)
    back, log_det_back = flow.inverse_and_log_det(y)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
    torch.testing.assert_close(log_det_back, -log_det, rtol=0, atol=1e-9)
    p = x.sigmoid()
    torch.testing.assert_close(y, (p - alpha) / (1 - 2 * alpha))
    torch.testing.assert_close(log_det, (p * (1 - p) / (1 - 2 * alpha)).log().sum(-1))


@ALPHAS
def test_density_sums_to_one(alpha):
    flow = Logit(1, alpha=alpha)
    low, high = flow.ends
    y = torch.linspace(low, high, 200_001, dtype=torch.float64)[1:-1, None]
    mass = torch.trapezoid(density(flow).log_prob(y).exp(), y[:, 0])
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-4)


@ALPHAS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_far_points_and_the_ends_have_finite_densities(alpha, dtype):
    flow = Logit(1, alpha=alpha)
    p = dist.TransformedDistribution(dist.Normal(torch.zeros(1, dtype=dtype), 1.0).to_event(1), [flow])
    y = flow(torch.tensor([[-1000.0], [-100.0], [100.0], [1000.0]], dtype=dtype)).clone()
    assert flow.codomain.check(y).all()
    assert p.log_prob(y).isfinite().all()


def test_data_outside_the_interval_are_an_error():
    flow = Logit(2, alpha=0.05)
    with pytest.raises(ValueError, match="within the support"):
        density(flow).log_prob(torch.tensor([0.5, 1.1], dtype=torch.float64))
    assert flow.inverse_and_log_det(torch.tensor([0.5, 1.1]))[0].isnan().tolist() == [False, True]


@pytest.mark.parametrize("alpha", [-0.1, 0.5])
def test_alpha_is_checked(alpha):
    with pytest.raises(ValueError, match=f"got {alpha}"):
        Logit(2, alpha=alpha)
