"""Likelihoods of pixels that are independent given the features."""

import math

import pytest
import torch
from torch import nn

from zoo import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LogisticLikelihood,
    LogisticMixtureLikelihood,
)
from zoo.data.encodings import Binary, Grid, Unit
from zoo.errors import UsageError
from zoo.parts.likelihoods import CategoricalLikelihood

SHAPE = (2, 1, 1)  # two channels of one pixel


class Net(nn.Module):
    """Features that a likelihood projects."""

    out_shape = (3, 1, 1)

    def forward(self, h):
        return h


LIKELIHOODS = {
    "bernoulli": lambda: BernoulliLikelihood(Net(), SHAPE),
    "categorical": lambda: CategoricalLikelihood(Net(), SHAPE, levels=5),
    "logistic mixture": lambda: LogisticMixtureLikelihood(Net(), SHAPE, components=2, levels=5),
    "logistic": lambda: LogisticLikelihood(Net(), SHAPE, levels=5),
    "continuous bernoulli": lambda: ContinuousBernoulliLikelihood(Net(), SHAPE),
    "gaussian": lambda: GaussianLikelihood(Net(), SHAPE),
    "gaussian of a fixed scale": lambda: GaussianLikelihood(Net(), SHAPE, scale=0.3),
}
VALUES = {
    "binary": torch.tensor([0.0, 1.0]).double(),
    "grid": torch.linspace(-1, 1, 5).double(),
    "unit": torch.linspace(-9, 10, 3801).double(),  # what a normal puts there too
}
likelihoods = pytest.mark.parametrize("name", LIKELIHOODS)


def made(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        likelihood = LIKELIHOODS[name]().double()
        h = torch.randn(1, 3, 1, 1).double()
    return likelihood, h


@likelihoods
def test_all_there_is_has_probability_one(name):
    """Masses over both channels sum to 1; a density integrates to 1 (trapezoids)."""
    likelihood, h = made(name)
    values = VALUES[likelihood.takes]
    if "continuous" in name:
        values = torch.linspace(0, 1, 2001).double()
    p = likelihood(h)
    if likelihood.takes == "unit":  # channels are independent: the integral of one, the other fixed
        x = torch.stack([values, values[len(values) // 2].expand_as(values)], 1)[:, :, None, None]
        of_other = likelihood(h).base_dist.log_prob(x[:1])[0, 1].exp()
        total = torch.trapezoid(p.expand([len(x)]).log_prob(x).exp(), values) / of_other.item()
    else:
        x = torch.cartesian_prod(values, values)[:, :, None, None]
        total = p.expand([len(x)]).log_prob(x).exp().sum()
    torch.testing.assert_close(total.item(), 1.0, rtol=0, atol=1e-5)


@likelihoods
def test_draws_are_such_as_it_takes_and_have_a_density(name):
    likelihood, h = made(name)
    p = likelihood(h.expand(50, -1, -1, -1))
    x = p.sample()
    assert x.shape == (50, *SHAPE)
    assert p.log_prob(x).isfinite().all()
    if likelihood.takes != "unit":
        assert torch.isclose(x[..., None], VALUES[likelihood.takes]).any(-1).all()
    elif "continuous" in name:
        assert ((x >= 0) & (x <= 1)).all()


@likelihoods
def test_an_encoding_makes_what_it_takes(name):
    likelihood, h = made(name)
    encoding = {"binary": Binary(), "grid": Grid(), "unit": Unit()}[likelihood.takes]
    levels = 2 if likelihood.takes == "binary" else 5
    images = torch.randint(levels, (4, *SHAPE), dtype=torch.uint8)
    x = encoding(images, levels).double()
    assert likelihood(h.expand(4, -1, -1, -1)).log_prob(x).isfinite().all()


def test_a_fixed_scale_is_the_squared_error():
    likelihood, h = made("gaussian of a fixed scale")
    x = torch.rand(1, *SHAPE).double()
    error = (x - likelihood.project(h)).square().sum()
    constant = 2 * math.log(0.3 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(likelihood(h).log_prob(x)[0], -error / (2 * 0.09) - constant)


def test_a_scale_that_is_not_positive_is_named():
    with pytest.raises(UsageError, match="scale > 0"):
        GaussianLikelihood(Net(), SHAPE, scale=0.0)
