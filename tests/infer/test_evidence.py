"""Linear-Gaussian models know log p(x): every bound is measured against it."""

import math

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch.distributions import kl_divergence

from tests.contracts import seeded, standard_errors
from tests.linear_gaussian import (
    PAIRS,
    VERY_WRONG,
    WRONG,
    BottomUp,
    Error,
    TopDown,
    one_layer,
    ordinary,
    two_layers,
)
from zoo import ELBO, ImportanceWeighted, log_likelihood, log_weights
from zoo.infer.capacity import CapacityELBO
from zoo.infer.objectives import monte_carlo
from zoo.infer.path_gradients import DReG
from zoo.infer.renyi import Renyi

pairs = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
two_layered = pytest.mark.parametrize("guide", [TopDown, BottomUp, ordinary])


def exact(pair):
    model, guide = pair[0](), pair[1]
    return model, guide(model), model.images()


def inexact(pair, error=WRONG):
    model, guide = pair[0](), pair[1]
    return model, guide(model, error), model.images()


@pairs
def test_every_weight_is_the_evidence_under_the_exact_posterior(pair):
    model, guide, x = exact(pair)
    weights = log_weights(model, guide, x, 20)
    torch.testing.assert_close(weights, model.log_evidence(x).expand(20, -1), rtol=0, atol=1e-9)


@pairs
def test_elbo_is_the_evidence_without_variance_under_the_exact_posterior(pair):
    model, guide, x = exact(pair)
    loss = ELBO(kl=monte_carlo, num_particles=20)(model, guide)
    elbo = loss.terms(x).elbo()
    torch.testing.assert_close(elbo, model.log_evidence(x).expand(20, -1), rtol=0, atol=1e-9)
    torch.testing.assert_close(loss(x), -model.log_evidence(x).mean(), rtol=0, atol=1e-9)


@pairs
def test_importance_weighted_bound_is_the_evidence_under_the_exact_posterior(pair):
    model, guide, x = exact(pair)
    loss = ImportanceWeighted(7)(model, guide)(x)
    torch.testing.assert_close(loss, -model.log_evidence(x).mean(), rtol=0, atol=1e-9)


@pairs
def test_log_likelihood_is_exact_and_sure_under_the_exact_posterior(pair):
    model, guide, x = exact(pair)
    result = log_likelihood(model, guide, x, 50)
    torch.testing.assert_close(result.log_likelihood, model.log_evidence(x), rtol=0, atol=1e-9)
    torch.testing.assert_close(result.elbo, model.log_evidence(x), rtol=0, atol=1e-9)
    torch.testing.assert_close(result.ess, torch.full_like(result.ess, 50))
    assert result.stderr_over_samples < 1e-6
    assert (result.pareto_k == 0).all()


@pairs
def test_bounds_rise_from_the_elbo_to_the_evidence(pair):
    model, guide, x = inexact(pair, VERY_WRONG)
    weights = seeded(ImportanceWeighted(1000 * 50)(model, guide).terms, x).elbo()
    weights = weights.view(1000, 50, len(x)).movedim(2, 1)
    l_1, l_5, l_50 = (bound(weights, k).mean(1) for k in (1, 5, 50))  # (1000,), means over the images
    assert standard_errors(l_5 - l_1, 0) > 4
    assert standard_errors(l_50 - l_5, 0) > 4
    assert standard_errors(l_50, model.log_evidence(x).mean()) < -4


def bound(weights, k):
    """L_k from groups of log weights, (..., 50) -> (...)."""
    groups = weights.unflatten(-1, (-1, k))
    return (groups.logsumexp(-1) - math.log(k)).mean(-1)


@pairs
def test_importance_bound_reaches_the_evidence(pair):
    model, guide, x = inexact(pair)
    result = log_likelihood(model, guide, x, 5000, seed=2)
    error = (result.log_likelihood - model.log_evidence(x)) / result.sampling_stderr
    assert error.abs().max() < 4
    assert (result.elbo < model.log_evidence(x)).all()


def test_many_samples_are_within_their_standard_error():
    model = one_layer()
    x = model.images()
    result = log_likelihood(model, TopDown(model, WRONG), x, 25_000, seed=3)
    error = (result.log_likelihood - model.log_evidence(x)) / result.sampling_stderr
    assert error.abs().max() < 4
    assert result.sampling_stderr.max() < 0.008


@pairs
def test_losses_are_the_bounds_that_the_weights_give(pair):
    model, guide, x = inexact(pair)
    weights = log_weights(model, guide, x, 5000, seed=4).view(1000, 5, len(x)).movedim(2, 1)
    many = x.repeat(500, 1, 1, 1) if x.dim() == 4 else x.repeat(500, 1)
    iw = ImportanceWeighted(5)(model, guide)(many)
    elbo = ELBO()(model, guide)(many)
    # the loss has half as many independent draws as the weights
    assert standard_errors(bound(weights, 5).mean(1), -iw).abs() < 4 * math.sqrt(1 + 2)
    assert standard_errors(bound(weights, 1).mean(1), -elbo).abs() < 4 * math.sqrt(1 + 10)


def exact_elbo(model, x):
    """Of the bottom-up guide with `WRONG`, in closed form: log p(x) - KL(q(z_1, z_2 | x) || p(. | x))."""

    def moments(name, **given):
        normal = model.posterior(name, WRONG, **given).base_dist
        return normal.loc, normal.variance

    zero, one = torch.zeros(len(x), 1).to(x), torch.ones(len(x), 1).to(x)
    loc_1, var_1 = moments("z_1", x=x)
    offset, var_2 = moments("z_2", x=x, z_1=zero)
    slope = moments("z_2", x=x, z_1=one)[0] - offset
    loc = torch.cat([loc_1, slope * loc_1 + offset], dim=1)
    cov = torch.stack(
        [torch.cat([var_1 * one, slope * var_1], 1), torch.cat([slope * var_1, slope**2 * var_1 + var_2], 1)],
        dim=1,
    )
    q = torch.distributions.MultivariateNormal(loc, cov)
    p = torch.distributions.MultivariateNormal(*model.exact.moments(["z_1", "z_2"], {"x": x}))
    return model.log_evidence(x) - torch.distributions.kl_divergence(q, p)


def particles(guide, x, model, **options):
    """Means over the images of 20,000 single-sample ELBOs."""
    return seeded(ELBO(num_particles=20_000, **options)(model, guide).terms, x).elbo().mean(1)


@pytest.mark.parametrize("guide", [BottomUp, ordinary])
def test_elbo_of_a_bottom_up_guide_is_unbiased(guide):
    model = two_layers()
    x = model.images()
    elbo = particles(guide(model, WRONG), x, model)
    assert standard_errors(elbo, exact_elbo(model, x).mean()).abs() < 4


def test_closed_form_kl_at_a_bottom_up_site_would_be_biased():
    """Control: the prior of z_1 has then seen z_2, which was drawn from z_1."""
    model = two_layers()
    x = model.images()
    elbo = particles(BottomUp(model, WRONG), x, model, kl=lambda site: site.kl())
    assert standard_errors(elbo, exact_elbo(model, x).mean()).abs() > 20


@two_layered
def test_elbo_agrees_with_pyros_trace_elbo_in_expectation(guide):
    model = two_layers()
    x = model.images()
    q = guide(model, WRONG)
    many = x.repeat(5000, 1, 1, 1)
    theirs = seeded(Trace_ELBO()(model, q), many) / len(many)
    ours = seeded(ELBO(num_particles=5000)(model, q).terms, x, seed=1).elbo().mean(1)
    assert standard_errors(ours, -theirs.item()).abs() < 4 * math.sqrt(2)


def test_weights_are_unbiased_where_the_model_observes_a_bottom_up_latent():
    """What the guide drew there is then an auxiliary variable: the mean weight stays p(x, z_1)."""
    model = two_layers()
    x = model.images()
    z_1 = model.posterior("z_1", x=x).sample()
    run = pyro.condition(model, data={"z_1": z_1})
    result = log_likelihood(run, BottomUp(model, Error(width=1.5)), x, 5000, seed=0)
    both = torch.cat([z_1, x.flatten(1)], dim=1)
    cov = model.exact.covariance[1:, 1:]
    expected = torch.distributions.MultivariateNormal(torch.zeros(4).double(), cov).log_prob(both)
    assert ((result.log_likelihood - expected) / result.sampling_stderr).abs().max() < 4


def test_linear_gaussian_evidence_is_the_integral():
    """The yardstick itself: a grid over z of the model's own densities."""
    model = two_layers()
    x = model.images(1)
    axis = torch.linspace(-12, 12, 401, dtype=torch.float64)
    z_2, z_1 = torch.cartesian_prod(axis, axis).split(1, dim=1)
    run = pyro.condition(model, data={"z_2": z_2, "z_1": z_1})
    trace = pyro.poutine.trace(run).get_trace(x.expand(len(z_1), -1, -1, -1))
    trace.compute_log_prob()
    total = sum(trace.nodes[name]["log_prob"] for name in ("z_1", "z_2", "x"))
    integral = total.logsumexp(0) + 2 * math.log(axis[1] - axis[0])
    torch.testing.assert_close(integral, model.log_evidence(x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        ELBO(free_bits=100.0),
        ELBO(5, beta=0.1, kl=monte_carlo),
        ImportanceWeighted(20),
        Renyi(20, alpha=0.0),
        DReG(20),
        CapacityELBO(capacity=50.0),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_the_elbo_of_a_loss_is_the_exact_one_whichever_bound_is_trained(objective):
    """Log p(x) - KL(q(z | x) || p(z | x)), both known; its log calls it ``elbo``."""
    model = one_layer()
    x = model.images(1).expand(4000, -1, -1, -1)
    gap = kl_divergence(model.posterior("z_1", WRONG, x=x[:1]), model.posterior("z_1", x=x[:1]))
    exact = (model.log_evidence(x[:1]) - gap).item()
    loss = objective(model, TopDown(model, WRONG)).train()
    with torch.no_grad():
        found = seeded(loss.elbo, x)
    seeded(loss, x)
    assert abs(found.mean().item() - exact) < 4.5 * found.std().item() / len(x) ** 0.5
    assert abs(loss.stats["elbo"].item() - exact) < 4.5 * found.std().item() / len(x) ** 0.5
