"""Free bits by channel: what is paid, what has a gradient, what is reported."""

import pytest
import torch

from tests.catalogue import images, pair
from tests.contracts import seeded
from zoo import ELBO
from zoo.infer.channel_free_bits import ChannelFreeBits, ChannelTerms, ElementDraws, channel_means
from zoo.infer.joint import Joint
from zoo.infer.objectives import monte_carlo

X = images(4)
PAIRS = ["iaf-vae, flow posterior", "iaf-vae, diagonal", "nvae", "nvae, flow posterior", "vae"]
pairs = pytest.mark.parametrize("name", PAIRS)


def built(name, **options):
    return ChannelFreeBits(**options)(*pair(name)).train()


def run(name):
    """Sites and channels of a run in training, as the losses here have it."""
    draws, (model, guide) = ElementDraws(), pair(name)
    torch.manual_seed(0)
    sites = Joint(model.train(), guide.train(), X).sample(noise=draws)
    return sites, channel_means(sites.values(), draws.log_q)


@pairs
def test_the_channels_of_a_latent_sum_to_its_term(name):
    sites, channels = run(name)
    for site_name, means in channels.items():
        site = sites[site_name]
        term = monte_carlo(site) if "flow" in name or name == "iaf-vae, flow posterior" else site.kl()
        assert means.shape == site.value.shape[1:2]
        torch.testing.assert_close(means.sum(), term.mean())


@pairs
def test_every_channel_pays_its_mean_or_lambda(name):
    loss = built(name, free_bits=0.3, beta=0.7)
    sites, channels = run(name)
    paid = sum(means.clamp(min=0.3).sum() for means in channels.values())
    expected = 0.7 * paid - sites["x"].log_p().mean()
    torch.testing.assert_close(seeded(loss, X), expected)


def test_a_channel_below_lambda_has_no_gradient_and_one_above_its_own():
    loss = built("iaf-vae, flow posterior", free_bits=1.0)
    kl = torch.tensor([0.2, 3.0], dtype=torch.float64, requires_grad=True)
    terms = ChannelTerms({"x": torch.zeros(1, 4)}, {}, channels={"z_1": kl})
    (gradient,) = torch.autograd.grad(loss.cost(terms).mean(), kl)
    assert gradient.tolist() == [0.0, 1.0]


@pairs
def test_what_is_reported_has_no_free_bits(name):
    loss, plain = built(name, free_bits=5.0), ELBO()(*pair(name)).train()
    seeded(loss, X)
    seeded(plain, X)
    if "flow" in name or name == "iaf-vae, flow posterior":
        torch.testing.assert_close(loss.stats["elbo"], plain.stats["elbo"])
    torch.testing.assert_close(seeded(loss.eval(), X), seeded(plain.eval(), X))


@pairs
def test_without_free_bits_it_is_the_elbo(name):
    torch.testing.assert_close(seeded(built(name), X), seeded(ELBO()(*pair(name)).train(), X))
    ended = built(name, free_bits=1.0, free_bits_steps=0)
    torch.testing.assert_close(seeded(ended, X), seeded(ELBO()(*pair(name)).train(), X))
