"""Objectives that ask for more than a bound in training: a capacity, posteriors that differ."""

import math

import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.distributions import kl_divergence

from tests.catalogue import images_for, pair
from tests.contracts import seeded
from zoo import ELBO, CapacityELBO, MutualPosteriorDivergence
from zoo.errors import UsageError
from zoo.infer.joint import Joint
from zoo.infer.posterior_divergence import divergences

PAIRS = ["vae", "vae, conditional flow posterior", "hierarchical vae"]
pairs = pytest.mark.parametrize("name", PAIRS)


@pairs
@pytest.mark.parametrize("objective", [CapacityELBO(3), MutualPosteriorDivergence(3)])
def test_evaluation_is_the_elbo(name, objective):
    model, guide = pair(name)
    x = images_for(name)
    loss = objective(model, guide)
    plain = seeded(ELBO(3)(model, guide), x)
    assert seeded(loss.train(), x) > plain
    torch.testing.assert_close(seeded(loss.eval(), x), plain)


@pairs
def test_without_capacity_and_at_a_factor_it_is_beta_vae(name):
    """A mean KL above C = 0 is its own distance from it."""
    model, guide = pair(name)
    x = images_for(name, 40)
    ours = CapacityELBO(2, gamma=4.0, capacity=0.0)(model, guide).train()
    plain = ELBO(2, beta=4.0)(model, guide).train()
    assert seeded(plain.terms, x).means()["kl"] > 0
    torch.testing.assert_close(seeded(ours, x), seeded(plain, x))


def test_the_loss_is_the_distance_from_the_capacity_of_the_step():
    model, guide = pair("vae")
    x = images_for("vae")
    loss = CapacityELBO(gamma=10.0, capacity=8.0, capacity_steps=4)(model, guide).train()
    for step, capacity in enumerate((0.0, 2.0, 4.0, 6.0, 8.0, 8.0)):
        loss.schedule(step)
        means = seeded(loss.terms, x).means()
        expected = 10 * (means["kl"] - capacity).abs() - means["log_likelihood"]
        torch.testing.assert_close(seeded(loss, x).detach(), expected)


def normals(batch=6, size=3):
    generator = torch.Generator().manual_seed(0)
    loc, log_scale = torch.randn(2, batch, size, generator=generator, dtype=torch.float64)
    return loc, log_scale.exp()


def by_pairs(loc, scale):
    """KL of every ordered pair and dimension, (B, B, D)."""
    return kl_divergence(dist.Normal(loc[:, None], scale[:, None]), dist.Normal(loc, scale))


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_divergences_are_those_of_all_pairs(shift):
    loc, scale = normals()
    m, pairs = divergences(loc + shift, scale)
    every = by_pairs(loc, scale)
    off = ~torch.eye(len(loc), dtype=torch.bool)
    torch.testing.assert_close(m, every[off].mean(0), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(pairs, every.sum(-1)[off], rtol=1e-9, atol=1e-9)


def test_divergences_do_not_depend_on_a_common_scale():
    loc, scale = normals()
    factor = torch.tensor([0.1, 3.0, 7.0]).double()
    for a, b in zip(divergences(loc, scale), divergences(loc * factor, scale * factor), strict=True):
        torch.testing.assert_close(a, b)


class Everywhere(nn.Module):
    """The same posterior for every image."""

    def forward(self, x):
        return dist.Normal(torch.ones(len(x), 4).to(x), 2.0).to_event(1)


def test_posteriors_that_are_all_the_same_cost_log_two_a_dimension():
    model, guide = pair("vae")
    guide.head = Everywhere()
    x = images_for("vae")
    loss = MutualPosteriorDivergence(eta=3.0, gamma=0.0)(model, guide).train()
    expected = seeded(ELBO()(model, guide), x) + 3 * 4 * math.log(2)
    torch.testing.assert_close(seeded(loss, x), expected, rtol=0, atol=1e-9)


@pairs
def test_without_factors_it_is_the_elbo(name):
    model, guide = pair(name)
    x = images_for(name)
    ours = MutualPosteriorDivergence(2, eta=0.0, gamma=0.0, free_bits=1.0)(model, guide).train()
    plain = ELBO(2, free_bits=1.0)(model, guide).train()
    torch.testing.assert_close(seeded(ours, x), seeded(plain, x))


@pairs
def test_the_penalty_is_the_formulas(name):
    """Of the first sample of each image; of a flow, of its base."""
    model, guide = pair(name)
    x = images_for(name, 5)
    loss = MutualPosteriorDivergence(eta=2.0, gamma=0.5)(model, guide).train()
    expected = seeded(ELBO()(model, guide), x)
    for site in seeded(Joint(model, guide, x).sample).values():
        if site.observed:
            continue
        q = getattr(site.posterior, "base_dist", site.posterior)
        q = q if hasattr(q, "loc") else q.base_dist
        every = by_pairs(q.loc, q.scale)
        off = ~torch.eye(5, dtype=torch.bool)
        expected = expected + 2 * torch.nn.functional.softplus(-every[off].mean(0)).sum()
        expected = expected + 0.5 * every.sum(-1)[off].std()
    torch.testing.assert_close(seeded(loss, x), expected)


def test_one_image_has_no_pair():
    model, guide = pair("vae")
    with pytest.raises(ValueError, match="two images"):
        MutualPosteriorDivergence()(model, guide).train()(images_for("vae", 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: CapacityELBO(gamma=-1.0),
        lambda: CapacityELBO(capacity_steps=0),
        lambda: MutualPosteriorDivergence(eta=-1.0),
        lambda: MutualPosteriorDivergence(gamma=-1.0),
    ],
)
def test_mistakes_are_named(make):
    with pytest.raises(UsageError, match="expected"):
        make()
