"""A draw from uniform noise has the distribution it is drawn from."""

import pyro.distributions as dist
import pytest
import torch

from distributions import DiscretizedLogistic, DiscretizedLogisticMixture, GridCategorical
from distributions.draws import draw, uniforms
from distributions.temperature import at_temperature
from tests.distributions.goodness import z_score

LEVELS = 3

DISCRETE = {
    "bernoulli": lambda: dist.Bernoulli(logits=torch.tensor([[[-1.0]]])).to_event(3),
    "categorical": lambda: dist.Categorical(logits=torch.randn(1, 1, 1, LEVELS)).to_event(3),
    "grid categorical": lambda: GridCategorical(torch.randn(1, 1, 1, LEVELS)).to_event(3),
    "logistic": lambda: DiscretizedLogistic(torch.full((1, 1, 1), 0.3), -1.0, levels=LEVELS).to_event(3),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_draws_follow_log_prob(name):
    p = DISCRETE[name]()
    values = draw(p, torch.rand(20_000, uniforms(p), 1, 1))
    cells, counts = values.flatten().unique(return_counts=True)
    masses = p.log_prob(cells.view(-1, 1, 1, 1)).exp()
    assert abs(masses.sum() - 1) < 1e-5
    assert abs(z_score(counts, masses)) < 5


def test_normal_draws_follow_their_distribution_function():
    p = dist.Normal(torch.tensor([1.0]), 2.0)
    u = torch.rand(100)
    torch.testing.assert_close(p.cdf(draw(p, u)), u)


def test_the_edges_of_the_noise_are_drawn():
    p = DISCRETE["categorical"]()
    assert draw(p, torch.zeros(1, 1, 1)).item() == 0
    assert draw(p, torch.full((1, 1, 1), 1 - 2**-24)).item() == LEVELS - 1


EVERY = {
    **DISCRETE,
    "narrow logistic": lambda: DiscretizedLogistic(torch.full((1, 1, 1), 0.3), -200.0).to_event(3),
    "mixture": lambda: DiscretizedLogisticMixture(
        torch.zeros(2, 1, 1), torch.zeros(2, 3, 1, 1), torch.full((2, 3, 1, 1), -3.0), torch.ones(2, 3, 1, 1)
    ),
    "normal": lambda: dist.Normal(torch.zeros(1, 1, 1), 2.0).to_event(3),
    "cold normal": lambda: dist.Normal(torch.zeros(1, 1, 1), 1e-30).to_event(3),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_every_draw_is_finite_and_in_the_support(name, dtype):
    """At the edges of [0, 1): 0, the smallest numbers above it, and the last one below 1."""
    p, info = EVERY[name](), torch.finfo(dtype)
    edges = [0.0, info.tiny, info.eps / 8, info.eps / 2, 0.5, 1 - info.eps, 1 - info.eps / 2]
    u = torch.tensor(edges, dtype=dtype).view(-1, 1, 1, 1).expand(-1, uniforms(p), 1, 1)
    x = draw(p, u)
    assert x.isfinite().all()
    assert p.support.check(x.to(torch.float32)).all()


def test_what_cannot_be_drawn_says_so():
    with pytest.raises(NotImplementedError, match="Poisson"):
        draw(dist.Poisson(torch.ones(1)), torch.rand(1))
    with pytest.raises(NotImplementedError, match="Poisson"):
        at_temperature(dist.Poisson(torch.ones(1)), 0.5)


@pytest.mark.parametrize("name", DISCRETE)
def test_temperature_one_changes_nothing(name):
    p = DISCRETE[name]()
    x = p.sample()
    torch.testing.assert_close(at_temperature(p, 1.0).log_prob(x), p.log_prob(x))
