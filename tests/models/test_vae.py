"""The VAE from its parts."""

import pyro
import torch

from tests.catalogue import IMAGE, images, vae
from tests.contracts import dependencies
from zoo import ELBO, LearnedNormal, StandardNormal
from zoo.infer.joint import Joint


def test_dependencies_are_those_of_the_factorisation():
    model, guide = vae(IMAGE)
    x = images(dtype=torch.float32)
    assert dependencies(model, guide, x) == {"p(z)": set(), "q(z)": {"x"}, "p(x)": {"z"}}


def test_closed_form_kl_is_kingma_and_wellings():
    model, guide = vae(IMAGE)
    x = images(dtype=torch.float32)
    q = guide.head(x).base_dist
    formula = 0.5 * (q.loc**2 + q.variance - 1 - q.variance.log()).sum(1)
    torch.testing.assert_close(ELBO()(model, guide).terms(x).kl["z"][0], formula)


def test_the_log_likelihood_is_the_bernoullis_cross_entropy():
    model, guide = vae(IMAGE)
    x = images(dtype=torch.float32)
    sites = Joint(model, guide, x).sample()
    logits = model.likelihood(sites["z"].value).base_dist.logits
    expected = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    torch.testing.assert_close(sites["x"].log_p(), expected.sum((1, 2, 3)))


def test_a_learned_prior_starts_at_the_standard_normal():
    learned, fixed = LearnedNormal((2, 3, 3))(), StandardNormal((2, 3, 3))()
    assert learned.event_shape == fixed.event_shape == (2, 3, 3)
    assert (pyro.distributions.kl.kl_divergence(learned, fixed) == 0).all()
