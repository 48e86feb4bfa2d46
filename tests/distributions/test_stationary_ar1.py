"""delta-VAE's prior: what a normal of independent values cannot be."""

import pyro.distributions as dist
import pytest
import torch
from torch.distributions import kl_divergence

from distributions import StationaryAR1
from tests.contracts import standard_errors

RATES = torch.tensor([0.9, -0.4, 0.0], dtype=torch.float64)
T = 6


def correlation(rate):
    t = torch.arange(T)
    return rate ** (t - t[:, None]).abs()


def test_density_is_the_normals_of_the_correlations():
    z = torch.randn(7, 3, T, dtype=torch.float64)
    expected = sum(
        dist.MultivariateNormal(torch.zeros(T).double(), correlation(a)).log_prob(z[:, d])
        for d, a in enumerate(RATES)
    )
    torch.testing.assert_close(StationaryAR1(RATES, T).log_prob(z), expected, rtol=0, atol=1e-9)


def test_draws_have_the_correlations():
    torch.manual_seed(0)
    z = StationaryAR1(RATES, T).expand([20_000]).rsample()
    for d, a in enumerate(RATES):
        products = z[:, d, :, None] * z[:, d, None, :]
        assert (standard_errors(products, correlation(a)).abs() < 4.5).all()


@pytest.mark.parametrize(
    ("steps", "rate", "rate_nats"),
    [(8, 0.9, 2.610346139244), (16, 0.5, 1.705845895425), (32, 0.97, 11.361538922653), (5, 0.0, 0.0)],
)
def test_the_committed_rate_is_the_least_divergence(steps, rate, rate_nats):
    p = StationaryAR1(torch.tensor([rate], dtype=torch.float64), steps)
    assert p.committed_rate().item() == pytest.approx(rate_nats, abs=1e-9)
    variance = torch.full((1, steps), (1 - rate**2) / (1 + rate**2), dtype=torch.float64)
    variance[:, [0, -1]] = 1 - rate**2
    best = dist.Normal(torch.zeros(1, steps).double(), variance.sqrt()).to_event(2)
    assert kl_divergence(best, p).item() == pytest.approx(rate_nats, abs=1e-9)


def test_the_closed_form_is_the_expectation_and_above_the_committed_rate():
    p = StationaryAR1(RATES, T)
    torch.manual_seed(0)
    q = dist.Normal(torch.randn(4, 3, T).double(), torch.rand(4, 3, T).double() + 0.1).to_event(2)
    exact = kl_divergence(q, p)
    assert (exact > p.committed_rate()).all()
    z = q.sample((20_000,))
    assert (standard_errors(q.log_prob(z) - p.log_prob(z), exact).abs() < 4).all()
    torch.testing.assert_close(kl_divergence(q, p.expand([4])), exact)


def test_other_posteriors_have_no_closed_form():
    q = dist.Laplace(torch.zeros(3, T), 1.0).to_event(2)
    with pytest.raises(NotImplementedError):
        kl_divergence(q, StationaryAR1(RATES, T))


def test_mistakes_are_named():
    for rates, steps in ((torch.tensor(0.5), 3), (torch.tensor([0.5]), 1)):
        with pytest.raises(ValueError, match=r"expected rates \(D,\) and steps >= 2; got"):
            StationaryAR1(rates, steps)
