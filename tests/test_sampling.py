"""Samples and reconstructions."""

import pyro.distributions as dist
import pyro.poutine as poutine
import pytest
import torch

from tests.catalogue import IMAGE, PAIRS, images_for, pair, takes_grid
from tests.contracts import seeded
from zoo import reconstruct, sample
from zoo.errors import UsageError
from zoo.joint import Joint
from zoo.sampling import Tempered, tempered

pairs = pytest.mark.parametrize("name", PAIRS)


@pairs
def test_samples_are_images_of_the_likelihood(name):
    model, _ = pair(name)
    x = sample(model, 4)
    assert x.shape == (4, *IMAGE)
    assert not x.requires_grad
    grid = {-1.0, -1 / 3, 1 / 3, 1.0} if takes_grid(name) else {0.0, 1.0}
    assert all(min(abs(v - g) for g in grid) < 1e-6 for v in x.unique().tolist())


@pairs
def test_temperature_one_is_the_models_own_sample(name):
    model, _ = pair(name)
    assert torch.equal(seeded(sample, model, 3, temperature=1.0), seeded(model, n=3))


def latents(model, temperature, n=3000):
    with torch.no_grad(), Tempered(temperature), poutine.trace() as trace:
        model(n=n)
    return {name: trace.trace.nodes[name]["value"] for name in trace.trace.stochastic_nodes if name != "x"}


@pytest.mark.parametrize("name", ["vae", "vae, flow prior", "biva of 2 layers"])
def test_a_low_temperature_shrinks_the_spread_of_every_latent(name):
    model, _ = pair(name)
    cold, warm = latents(model, 0.3), latents(model, 1.0)
    for site in warm:
        assert (cold[site].std(0) < 0.75 * warm[site].std(0)).all()


def test_temperature_is_the_factor_of_a_standard_deviation():
    model, _ = pair("vae")
    one, half = seeded(latents, model, 1.0), seeded(latents, model, 0.5)
    torch.testing.assert_close(half["z"], 0.5 * one["z"])


def test_a_temperature_reaches_into_independent_and_transformed_distributions():
    base = dist.Normal(torch.zeros(2, 3), torch.ones(2, 3)).to_event(1)
    p = dist.TransformedDistribution(base, [dist.transforms.AffineTransform(1.0, 4.0)])
    draws = tempered(p, 0.25).sample((20_000,))
    torch.testing.assert_close(draws.std((0, 1)), torch.ones(3), rtol=0.05, atol=0)
    assert tempered(p, 0.25).event_shape == p.event_shape


def test_distributions_without_a_scale_are_left_as_they_are():
    p = dist.Bernoulli(0.3)
    assert tempered(p, 0.5) is p


def test_a_mixture_is_less_varied_at_a_low_temperature():
    model, _ = pair("vae, logistic mixture")
    z = torch.zeros(500, 4, dtype=torch.float64)
    cold, warm = (tempered(model.likelihood(z), t).sample().std(0).mean() for t in (1e-3, 1.0))
    assert cold < warm


@pytest.mark.parametrize("name", ["vae", "biva of 3 layers"])
def test_the_mean_of_binary_images_is_a_probability(name):
    model, _ = pair(name)
    x = sample(model, 5, mean=True)
    assert x.shape == (5, *IMAGE)
    assert ((x > 0) & (x < 1)).all()


def test_the_mean_belongs_to_the_latents_of_the_same_sample():
    model, _ = pair("vae")
    z = seeded(latents, model, 1.0, n=3)["z"]
    with torch.no_grad():
        expected = model.likelihood(z).mean
    torch.testing.assert_close(seeded(sample, model, 3, mean=True), expected)


@pairs
def test_reconstructions_are_means_given_a_posterior_draw(name):
    model, guide = pair(name)
    x = images_for(name)
    pictures = seeded(reconstruct, model, guide, x)
    assert pictures.shape == x.shape
    assert not pictures.requires_grad
    if "logistic" not in name:
        expected = seeded(Joint(model, guide, x).sample)["x"].prior.mean
        torch.testing.assert_close(pictures, expected.detach())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "at least one sample; got 0"),
        ({"n": -1}, "at least one sample; got -1"),
        ({"n": 2, "temperature": 0.0}, "temperature > 0; got 0"),
        ({"n": 2, "temperature": -1.0}, "temperature > 0; got -1"),
        ({"n": 2, "temperature": float("nan")}, "temperature > 0; got nan"),
    ],
)
def test_impossible_samples_are_refused(options, message):
    model, _ = pair("vae")
    with pytest.raises(UsageError, match=message):
        sample(model, **options)


def test_sampling_leaves_the_mode_as_it_was_and_drops_nothing_out():
    model, _ = pair("biva with dropout")
    model.train()
    assert torch.equal(seeded(sample, model, 3), seeded(sample, model, 3))
    assert model.training
