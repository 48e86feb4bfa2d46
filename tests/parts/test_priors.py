"""Priors with parameters: mixtures, and the VampPrior, which is made of the guide's own head."""

import copy
import math

import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import nn

from tests.catalogue import IMAGE, images, pair, randomised
from tests.contracts import Calls, seeded, standard_errors
from zoo import (
    ELBO,
    ImportanceWeighted,
    MixtureOfGaussians,
    NormalHead,
    VampPrior,
    log_likelihood,
)
from zoo.nn.gated import gated_dense
from zoo.nn.layers import Shaped


def head(latent=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return randomised(NormalHead(gated_dense(IMAGE, (5,)), latent), std=0.6).double()


def vamp(components=4, latent=2, **options):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        posterior = head(latent)
        prior = VampPrior(
            latent, posterior=posterior, image_shape=IMAGE, num_pseudo_inputs=components, **options
        )
        nn.init.uniform_(prior.raw, -0.5, 1.5)  # some of them outside
    return prior.double()


def mixture_of(q):
    """1/C sum_c q_c, by Pyro's own mixture."""
    weights = dist.Categorical(logits=torch.zeros(q.batch_shape[0], dtype=torch.float64))
    return dist.MixtureSameFamily(weights, q)


def latents(n=50, latent=2):
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(n, latent, generator=generator, dtype=torch.float64)


def test_density_is_the_mixture_of_the_encoders_answers():
    prior, z = vamp(), latents()
    expected = mixture_of(prior.posterior(prior.pseudo_inputs)).log_prob(z)
    torch.testing.assert_close(prior().log_prob(z), expected, rtol=0, atol=1e-12)


def test_a_head_that_is_no_normal_makes_a_mixture_too():
    def full(u):
        loc = u.flatten(1)[:, :2]
        return dist.MultivariateNormal(loc, scale_tril=torch.tensor([[1.0, 0.0], [0.5, 2.0]]).to(u))

    prior = VampPrior(2, posterior=full, image_shape=IMAGE, num_pseudo_inputs=3).double()
    z = latents()
    torch.testing.assert_close(prior().log_prob(z), mixture_of(full(prior.pseudo_inputs)).log_prob(z))
    assert prior().sample((5,)).shape == (5, 2)


def test_one_pseudo_input_is_one_normal():
    prior, z = vamp(components=1), latents()
    expected = prior.posterior(prior.pseudo_inputs).log_prob(z)
    torch.testing.assert_close(prior().log_prob(z), expected, rtol=0, atol=1e-12)


def test_every_pseudo_input_twice_changes_nothing():
    prior, z = vamp(), latents()
    once = prior().log_prob(z)
    prior.raw = nn.Parameter(prior.raw.repeat(2, 1, 1, 1))
    torch.testing.assert_close(prior().log_prob(z), once, rtol=0, atol=1e-12)


def test_divergence_from_a_posterior_in_the_mixture_is_at_most_log_c():
    """log q(z | u_c) - log p(z) <= log C at every z, and its mean is positive."""
    prior = vamp(components=3)
    q = prior.posterior(prior.pseudo_inputs)
    z = seeded(q.sample, (5000,))
    divergence = q.log_prob(z) - prior().log_prob(z)  # (5000, C)
    assert (divergence <= math.log(3) + 1e-12).all()
    assert (standard_errors(divergence, 0) > 4).all()


def test_mean_divergence_is_the_quadratures():
    prior = vamp(components=3, latent=1)
    q, p = prior.posterior(images(1)), prior()
    z = torch.linspace(-15, 15, 20001, dtype=torch.float64)[:, None]
    log_q, log_p = q.log_prob(z), p.log_prob(z)
    exact = (log_q.exp() * (log_q - log_p)).sum() * (z[1, 0] - z[0, 0])
    draws = seeded(q.sample, (20_000,))[:, 0]
    assert standard_errors(q.log_prob(draws) - p.log_prob(draws), exact).abs() < 4


def test_pseudo_inputs_stay_in_the_interval_of_the_images():
    for takes, low in {"binary": 0, "unit": 0, "grid": -1}.items():
        prior = vamp(takes=takes)
        nn.init.uniform_(prior.raw, -3, 3)
        assert prior.pseudo_inputs.min() == low
        assert prior.pseudo_inputs.max() == 1


def test_gradient_reaches_pseudo_inputs_inside_the_interval_and_the_encoder():
    prior = vamp()
    prior().log_prob(latents()).sum().backward()
    inside = (prior.raw > 0) & (prior.raw < 1)
    assert (prior.raw.grad[~inside] == 0).all()
    assert (prior.raw.grad[inside] != 0).any()
    assert all((p.grad != 0).any() for p in prior.posterior.parameters())


def test_pseudo_inputs_can_start_at_images():
    prior, x = vamp(), images(6)
    prior.start_at(x)
    assert 0 < (prior.raw - x[:4]).abs().max() < 0.06
    with pytest.raises(ValueError, match="at least 4 images"):
        prior.start_at(x[:3])


@pytest.mark.parametrize("objective", [ELBO(), ImportanceWeighted(7)])
def test_the_encoder_runs_once_on_the_images_and_once_on_the_pseudo_inputs(objective):
    model, guide = pair("vamp vae")
    networks = {n: m for n, m in guide.named_modules() if isinstance(m, Shaped)}
    with Calls(networks) as calls:
        objective(model, guide)(images(5)).backward()
    assert networks
    assert set(calls.count.values()) == {2}
    assert set(calls.rows.values()) == {5}  # not 35: pseudo-inputs are 3


def test_model_and_guide_share_the_encoder_in_loss_and_copy():
    model, guide = pair("vamp vae")
    loss = ELBO()(model, guide)
    assert len(list(loss.parameters())) == len(set(loss.parameters()))
    both = [loss, *copy.deepcopy((model, guide))]
    for m, g in ((model, guide), (both[1], both[2]), (copy.deepcopy(loss).model, None)):
        assert g is None or m.prior.posterior is g.head
    copied = copy.deepcopy(loss)
    assert copied.model.prior.posterior is copied.guide.head
    assert copied.guide.head is not guide.head


def test_a_state_is_loaded_into_a_pair_that_shares():
    model, guide = pair("vamp vae")
    loss = ELBO()(model, guide)
    other = ELBO()(*pair("vamp vae"))
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1)
    other.load_state_dict(loss.state_dict())
    x = images()
    assert torch.equal(seeded(other, x), seeded(loss, x))
    assert other.model.prior.posterior is other.guide.head


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_one_step_moves_a_shared_parameter_once(optimizer):
    """As it moves a copy of it that only one of the two holds, given the gradient of both."""
    model, guide = pair("vamp vae")
    loss = ELBO()(model, guide)
    parameters = list(loss.parameters())
    seeded(loss, images()).backward()
    gradients = [p.grad.clone() for p in parameters]
    free = [p.detach().clone().requires_grad_() for p in parameters]
    for p, g in zip(free, gradients, strict=True):
        p.grad = g
    for group in (parameters, free):
        optimizer(group, lr=0.1).step()
    for p, q in zip(parameters, free, strict=True):
        assert torch.equal(p, q)


def test_pyros_classic_svi_trains_a_pair_that_shares():
    import pyro

    pyro.clear_param_store()
    model, guide = pair("vamp vae")
    before = [p.detach().clone() for p in nn.ModuleList([model, guide]).parameters()]
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
    svi.step(images())
    after = list(nn.ModuleList([model, guide]).parameters())
    assert all((a != b).any() for a, b in zip(after, before, strict=True))
    pyro.clear_param_store()


def test_importance_sampling_takes_any_chunks_under_a_vamp_prior():
    model, guide = pair("hvae + vamp")
    x = images()
    a, b = (log_likelihood(model, guide, x, 20, chunk=c, seed=0).log_likelihood for c in (20, 7))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-8)


def test_a_mixture_of_gaussians_starts_at_equal_weights_and_learns_all():
    prior = MixtureOfGaussians((2, 3), components=4).double()
    z = torch.randn(5, 2, 3).double()
    by_hand = torch.stack([dist.Normal(loc, 1.0).to_event(2).log_prob(z) for loc in prior.loc])
    torch.testing.assert_close(prior().log_prob(z), by_hand.logsumexp(0) - math.log(4))
    prior().log_prob(z).sum().backward()
    assert all((p.grad != 0).any() for p in prior.parameters())


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="at least one component"):
        MixtureOfGaussians(3, components=0)
    with pytest.raises(ValueError, match="at least one pseudo-input"):
        vamp(components=0)
    with pytest.raises(ValueError, match=r"latent of shape \(3,\); got \(2,\)"):
        VampPrior(3, posterior=head(2), image_shape=IMAGE)
