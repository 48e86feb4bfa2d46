"""L^{>k}: the layers up to k are the prior's, and cost exactly nothing; the others are inferred as before."""

import functools
import itertools
import math

import pyro
import pyro.distributions as dist
import pyro.poutine as poutine
import pytest
import torch
from pyro.infer import Importance, Trace_ELBO
from torch.distributions import kl_divergence

from tests.catalogue import PAIRS, bivas, images, images_for, layers, pair
from tests.contracts import (
    assert_equal_up_to_rounding,
    dependencies,
    loss_and_gradients,
    operations,
    seeded,
    standard_errors,
)
from tests.linear_gaussian import (
    IMAGE,
    NONE,
    WRONG,
    BottomUp,
    LinearGaussian,
    TopDown,
    layer_of,
    ordinary,
    two_layers,
)
from zoo import (
    ELBO,
    Guide,
    ImportanceWeighted,
    Program,
    above,
    batch_plate,
    compile_loss,
    latent,
    log_likelihood,
    log_weights,
)
from zoo.analysis.latents import count_layers
from zoo.errors import UsageError
from zoo.infer.joint import Joint
from zoo.infer.objectives import monte_carlo
from zoo.infer.programs import evaluating

HIERARCHIES = [name for name in PAIRS if layers(name) > 1]
NOT_REPARAMETERISED = ("vae, pixelcnn prior", "vae, mixture prior")  # their priors
LAYERED = [name for name in PAIRS if layers(name) and name not in NOT_REPARAMETERISED]
hierarchies = pytest.mark.parametrize("name", HIERARCHIES)
layered = pytest.mark.parametrize("name", LAYERED)


def expected_bound(model, k, x, *, auxiliary=False):
    """E[L^{>k}] of the exact guide, (B,): every expectation is one of a normal.

    E[log p(x | z)] - KL(q(z_>k | x) || p(z_>k)), z_>k ~ N(m, S) given x and z_<=k given it by the prior. With
    `auxiliary`, q(z_>k | x, z_<=k) in the place of q(z_>k | x), which costs the information between them.
    """
    higher = [name for name in model.latents if layer_of(name) > k]
    lower = model.latents[len(higher) :]
    data = {"x": x.flatten(1)}
    m, s = model.exact.moments(higher, data)
    lift = torch.cat([torch.eye(len(s), dtype=x.dtype), regression(model.exact, lower, higher)])
    c = lift @ s @ lift.T
    c[len(s) :, len(s) :] += model.exact.moments(lower, {n: prior(model, n).mean[None] for n in higher})[1]
    w = model.maps["x"]
    fit = torch.distributions.Normal(m @ lift.T @ w.T, model.noise).log_prob(data["x"]).sum(1)
    q = torch.distributions.MultivariateNormal(m, s)
    bound = fit - (w @ c @ w.T).trace() / (2 * model.noise**2) - kl_divergence(q, prior(model, *higher))
    if not auxiliary:
        return bound
    zeros = {n: prior(model, n).mean[None] for n in lower}
    _, conditional = model.exact.moments(higher, {"x": torch.zeros(1, 3, dtype=x.dtype), **zeros})
    return bound - (s.logdet() - conditional.logdet()) / 2


def regression(exact, a, b):
    """The matrix of E[a | b]."""
    rows = [
        torch.cat([torch.arange(len(exact.covariance))[exact.where[n]] for n in names]) for names in (a, b)
    ]
    return torch.linalg.solve(exact.covariance[rows[1]][:, rows[1]], exact.covariance[rows[1]][:, rows[0]]).T


def prior(model, *names):
    rows = torch.cat([torch.arange(len(model.exact.covariance))[model.exact.where[n]] for n in names])
    covariance = model.exact.covariance[rows][:, rows]
    return torch.distributions.MultivariateNormal(torch.zeros(len(rows), dtype=covariance.dtype), covariance)


# exactness on linear-Gaussian hierarchies


@pytest.mark.parametrize("guide", [TopDown, ordinary])
@pytest.mark.parametrize("sizes", [[1, 1], [2, 1], [1, 1, 1]], ids=str)
def test_the_bound_of_an_exact_guide_is_its_expectation_by_hand(sizes, guide):
    """An ordinary guide draws z_<=k first: they are auxiliary, and loosen the bound by their information."""
    model = LinearGaussian(sizes)
    x = model.images(2)
    for k in range(1, len(sizes)):
        weights = log_weights(model, above(guide(model, NONE), k), x, 4000, chunk=2000, seed=k)
        expected = expected_bound(model, k, x, auxiliary=guide is ordinary)
        assert (standard_errors(weights, expected).abs() < 4.5).all()
        assert (expected < model.log_evidence(x) - 0.1).all()


def test_hidden_draws_loosen_the_bound():
    model = LinearGaussian([1, 1, 1])
    x = model.images(2)
    for k in (1, 2):
        assert (expected_bound(model, k, x, auxiliary=True) < expected_bound(model, k, x) - 0.05).all()


@pytest.mark.parametrize("guide", [TopDown, BottomUp, ordinary])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_the_weights_average_to_the_evidence(guide, k):
    """E[w] = p(x), whatever is hidden and however wrong the guide is."""
    model = two_layers(noise=2.0)
    x = model.images()
    weights = log_weights(model, above(guide(model, WRONG), k), x, 6000, chunk=2000, seed=0)
    ratios = (weights - model.log_evidence(x)).exp()
    assert (standard_errors(ratios, 1.0).abs() < 4.5).all()


@pytest.mark.parametrize("guide", [TopDown, ordinary])
def test_the_bounds_fall_with_k_where_the_guide_is_exact(guide):
    """L = log p(x) >= L^{>1} >= L^{>2}: each hides more of the posterior."""
    model = LinearGaussian([1, 1, 1])
    x = model.images()
    means = [
        log_likelihood(model, above(guide(model, NONE), k), x, 2000, seed=0).elbo.mean() for k in range(4)
    ]
    torch.testing.assert_close(means[0], model.log_evidence(x).mean())
    assert means == sorted(means, reverse=True)
    assert means[0] - means[3] > 0.5


def test_above_all_layers_the_weights_are_likelihoods_of_prior_draws():
    model = two_layers()
    x = model.images()
    sites = Joint(model, above(TopDown(model, WRONG), 2), x).sample(50)
    z = torch.cat([sites["z_2"].value, sites["z_1"].value], dim=1)
    loc = (z @ model.maps["x"].T).view(-1, *IMAGE)
    expected = torch.distributions.Normal(loc, model.noise).log_prob(x.repeat(50, 1, 1, 1)).flatten(1).sum(1)
    terms = ImportanceWeighted(50)(model, above(TopDown(model, WRONG), 2))
    weights = seeded(terms.terms, x).elbo()
    assert weights.shape == (50, len(x))
    torch.testing.assert_close(sites["x"].log_p(), expected)
    assert all((s.log_p() - s.log_q() == 0).all() for s in sites.values() if not s.observed)


# k = 0, and the terms of the sites


@layered
def test_above_nothing_is_the_guide_itself(name):
    model, guide = pair(name)
    x = images_for(name)
    ours, own = (log_weights(model, g, x, 4, chunk=3, seed=1) for g in (above(guide, 0), guide))
    roundings = operations(model, guide) + x[0].numel()
    assert_equal_up_to_rounding(ours, own, operations=roundings)
    parameters = list(guide.parameters())
    results = [
        loss_and_gradients(ELBO()(model, g), x, parameters=parameters) for g in (above(guide, 0), guide)
    ]
    for (value, gradients), (expected, others) in itertools.pairwise(results):
        assert_equal_up_to_rounding([value, *gradients], [expected, *others], operations=len(x) * roundings)


@layered
def test_hidden_layers_cost_exactly_nothing_and_the_others_something(name):
    model, guide = pair(name)
    x = images_for(name)
    for k in range(1, layers(name) + 1):
        for kl in (monte_carlo, ELBO().kl):
            terms = ELBO(kl=kl)(model, above(guide, k)).terms(x)
            for site, term in terms.kl.items():
                assert ((term == 0).all()) == ((layer_of(site) or 0) <= k), site


@layered
def test_hidden_layers_are_drawn_from_the_prior_given_those_above(name):
    model, guide = pair(name)
    x = images_for(name)
    for k in range(1, layers(name) + 1):
        sites = Joint(model, above(guide, k), x).sample()
        for site in sites.values():
            if (layer_of(site.name) or k + 1) <= k:
                assert site.posterior is site.prior
                assert not site.early


@hierarchies
def test_chunks_do_not_change_a_weight(name):
    """The hidden draws read their sample's stream of noise as well."""
    model, guide = pair(name)
    x = images_for(name)
    whole = log_weights(model, above(guide, 1), x, 6, chunk=6, seed=3)
    assert whole.std(0).min() > 0
    for chunk in (1, 4, None):
        torch.manual_seed(chunk or 0)
        parts = log_weights(model, above(guide, 1), x, 6, chunk=chunk, seed=3)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-9)


# BIVA: what is hidden has still been seen


def test_the_layers_above_still_see_what_was_drawn_below_and_hidden():
    model, guide = pair("biva of 3 layers")
    x = images_for("biva of 3 layers")
    found = dependencies(model, above(guide, 1), x)
    assert found["q(z_2_bu)"] == {"x", "z_1_bu_hidden"}
    assert "z_1_bu_hidden" in found["q(z_3)"]
    assert found["q(z_2_td)"] >= {"x", "z_1_bu_hidden", "z_3"}
    assert found["q(z_1_bu)"] == found["p(z_1_bu)"] == {"z_2_bu", "z_2_td", "z_3"}
    assert found["q(z_1_td)"] == found["p(z_1_td)"] == {"z_2_bu", "z_2_td", "z_3"}
    assert "z_1_bu_hidden" not in found["p(x)"]
    assert "z_1_bu" in found["p(x)"]


def test_what_was_hidden_is_not_what_the_model_gets():
    model, guide = pair("biva of 3 layers")
    sites = Joint(model, above(guide, 2), images_for("biva of 3 layers")).sample()
    for i in (1, 2):
        assert not torch.equal(sites[f"z_{i}_bu"].value, sites[f"z_{i}_bu_hidden"].value)
    assert {n for n in sites if layer_of(n) is None} == {"x", "z_1_bu_hidden", "z_2_bu_hidden"}


# with Pyro's tools, as a module, compiled


@hierarchies
def test_traced_by_pyro_it_is_an_ordinary_guide(name):
    model, guide = pair(name)
    x = images_for(name)
    hidden = above(guide, 1)
    nodes = poutine.trace(hidden).get_trace(x).nodes
    sampled = {n for n, node in nodes.items() if node["type"] == "sample"}
    assert sampled == {n for n, site in Joint(model, hidden, x).sample().items() if not site.observed}
    ours = seeded(ELBO(kl=monte_carlo)(model, hidden), x)
    stock = seeded(Trace_ELBO()(model, hidden), x) / len(x)
    torch.testing.assert_close(stock, ours)


def test_pyros_importance_sampling_gives_the_same_weights():
    model = two_layers()
    x = model.images()
    guide = above(BottomUp(model, WRONG), 1)
    run = seeded(Importance(model, guide=guide, num_samples=1).run, x)
    joint = seeded(Joint(model, guide, x).sample)
    weight = sum(s.log_p().sum() - (0 if s.observed else s.log_q().sum()) for s in joint.values())
    torch.testing.assert_close(run.log_weights[0], weight)


def test_parameters_are_shared_and_trained():
    model, guide = pair("biva of 2 layers")
    hidden = above(guide, 1)
    assert {id(p) for p in hidden.parameters()} == {id(p) for p in guide.parameters()}
    program = torch.nn.Linear(1, 1)
    assert len(list(above(program, 1).parameters())) == 2
    ELBO()(model, hidden)(images_for("biva of 2 layers")).backward()
    head = guide.layers[0].posterior_td
    assert all(p.grad is None for p in head.parameters())  # of a layer that is not inferred
    assert all(p.grad is not None for p in guide.top.parameters())


def test_modes_of_a_guide_inside_are_set_and_restored():
    model, guide = pair("biva with dropout")
    hidden = above(guide, 1).train()
    with evaluating(model, hidden):
        assert not guide.training
    assert guide.training


@pytest.mark.slow
def test_a_compiled_bound_is_the_eager_one():
    torch._dynamo.reset()
    x = images(dtype=torch.float32)
    model, guide = bivas(2, blocks=1)(x.shape[1:])
    loss = ImportanceWeighted(3)(model, above(guide, 1))
    with pyro.validation_enabled(False):
        eager = seeded(loss, x)
    torch.testing.assert_close(seeded(compile_loss(loss, x, backend="eager"), x), eager)


# mean=True


@hierarchies
def test_at_the_mean_hidden_layers_have_no_noise(name):
    model, guide = pair(name)
    top = layers(name)
    pictures = [Joint(model, above(guide, top, mean=True), images_for(name)).sample() for _ in range(2)]
    values = [{n: s.value for n, s in p.items() if layer_of(n)} for p in pictures]
    assert all(torch.equal(values[0][n], values[1][n]) for n in values[0])
    assert all((p.log_p() - p.log_q() == 0).all() for p in pictures[0].values() if layer_of(p.name))
    assert all(torch.equal(s.value, s.prior.mean) for s in pictures[0].values() if layer_of(s.name))


def test_at_the_mean_it_is_a_score_by_hand():
    """log p(x | m(z_2), z_2) + log p(z_2) - log q(z_2 | x), the mean m(z_2) in the place of z_1."""
    model = two_layers()
    x = model.images()
    sites = Joint(model, above(TopDown(model, WRONG), 1, mean=True), x).sample()
    z_2 = sites["z_2"].value
    z = torch.cat([z_2, z_2 @ model.maps["z_1"].T], dim=1)
    loc = (z @ model.maps["x"].T).view(-1, *IMAGE)
    expected = torch.distributions.Normal(loc, model.noise).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(sites["x"].log_p(), expected)


def test_at_the_mean_of_what_has_none():
    model, guide = pair("vae, flow prior")
    with pytest.raises(UsageError, match="'z', TransformedDistribution, has no known mean: draw from it"):
        ELBO()(model, above(guide, 1, mean=True))(images_for("vae"))


# mistakes, and what has no layers


def test_a_negative_layer_is_refused_at_once():
    with pytest.raises(UsageError, match="k >= 0, above which to infer; got -1"):
        above(pair("vae")[1], -1)


@hierarchies
def test_a_layer_too_many_is_refused_at_the_first_use(name):
    model, guide = pair(name)
    top = layers(name)
    ELBO()(model, above(guide, top))(images_for(name))
    with pytest.raises(UsageError, match=f"a layer k from 0 to {top}, as many as there are; got {top + 1}"):
        ELBO()(model, above(guide, top + 1))(images_for(name))


@pytest.mark.parametrize("guide", [TopDown, BottomUp, ordinary])
def test_a_layer_too_many_is_refused_wherever_the_latents_are_drawn(guide):
    model = two_layers()
    with pytest.raises(UsageError, match="from 0 to 2"):
        log_weights(model, above(guide(model), 3), model.images(), 1)


class Named(Program):
    """A hierarchy whose sites are called as their author likes."""

    def forward(self, x):
        with batch_plate():
            coarse = latent("coarse", normal(torch.zeros(len(x), 1)), layer=2)
            fine = latent("fine", normal(coarse), coarse, layer=1)
            return pyro.sample("x", normal(fine), obs=x)


def normal(loc):
    return dist.Normal(loc, 1.0).to_event(1)


class NamedGuide(Guide):
    def posterior(self, name, prior, h, x):
        return normal(0.5 * x)


def drawn_upward(x, **layers):
    with batch_plate():
        for name in ("fine", "coarse"):
            latent(name, normal(0.5 * x), layer=layers.get(name))


def test_layers_are_what_the_model_says_and_not_the_sites_names():
    x = torch.tensor([[1.0], [3.0]])
    assert count_layers(Named(), NamedGuide(), x) == 2
    for guide in (NamedGuide(), functools.partial(drawn_upward, fine=1, coarse=2)):
        kl = ELBO()(Named(), above(guide, 1)).terms(x).kl
        assert (kl["fine"] == 0).all()
        assert (kl["coarse"] != 0).all()


def test_a_guide_that_draws_a_hidden_latent_without_its_layer_is_refused():
    x = torch.tensor([[1.0], [3.0]])
    log_weights(Named(), drawn_upward, x, 2)
    with pytest.raises(UsageError, match=r"draws 'fine' without its layer: zoo.latent\('fine', q, layer=1\)"):
        log_weights(Named(), above(drawn_upward, 1), x, 2)


def test_variables_of_no_layer_stay_the_guides():
    model, guide = pair("density")
    x = images_for("density")
    ours, own = (log_weights(model, g, x, 2, seed=0) for g in (above(guide, 1), guide))
    assert_equal_up_to_rounding(ours, own, operations=operations(model, guide) + x[0].numel())


def test_a_plain_program_alone_wants_a_model():
    model = two_layers()
    guide = above(ordinary(model), 1)
    with pytest.raises(ValueError, match="needs a model to run by itself"):
        guide(model.images())
    nodes = poutine.trace(guide.bound_to(model)).get_trace(model.images()).nodes
    assert {"z_1", "z_2", "z_1_hidden"} <= set(nodes)


def test_the_bound_of_a_vae_is_that_of_its_prior():
    """K -> infinity: log 1/K sum p(x | z_i), z_i ~ p, against the guide's own estimate."""
    model, guide = pair("vae")
    x = images_for("vae")
    ours, own = (log_likelihood(model, g, x, 4000, seed=0) for g in (above(guide, 1), guide))
    error = (ours.sampling_stderr.square() + own.sampling_stderr.square()).sqrt()
    assert ((ours.log_likelihood - own.log_likelihood).abs() < 4.5 * error).all()
    assert error.max() < 0.1
    assert math.isfinite(ours.mean)
