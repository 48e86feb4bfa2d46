"""Traced by any of Pyro's tools our guides are ordinary ones, and our models take Pyro's handlers."""

import pyro
import pyro.distributions as dist
import pyro.poutine as poutine
import pytest
import torch
from pyro.infer import Importance, Predictive, Trace_ELBO
from pyro.infer.autoguide import AutoNormal

from tests.catalogue import IMAGE, PAIRS, images, images_for, pair
from tests.contracts import assert_equal_up_to_rounding, operations, seeded
from tests.linear_gaussian import NONE, WRONG, BottomUp, TopDown, ordinary, two_layers
from zoo import ELBO, log_likelihood, log_weights, sample
from zoo.errors import UsageError
from zoo.infer.joint import Joint
from zoo.infer.objectives import monte_carlo

pairs = pytest.mark.parametrize("name", PAIRS)
own_guides = pytest.mark.parametrize("guide", [TopDown, BottomUp])


@pairs
def test_a_traced_guide_shows_the_latents_alone(name):
    model, guide = pair(name)
    x = images_for(name)
    nodes = poutine.trace(guide).get_trace(x).nodes
    sites = {n for n, node in nodes.items() if node["type"] == "sample"}
    assert sites == {n for n, site in Joint(model, guide, x).sample().items() if not site.observed}
    assert not any(node["is_observed"] for node in nodes.values() if node["type"] == "sample")


@pairs
def test_a_traced_guide_has_the_posteriors_of_the_joint_run(name):
    model, guide = pair(name)
    x = images_for(name)
    trace = seeded(poutine.trace(guide).get_trace, x)
    sites = seeded(Joint(model, guide, x).sample)
    trace.compute_log_prob()
    for n in trace.stochastic_nodes:
        torch.testing.assert_close(trace.nodes[n]["value"], sites[n].value)
        torch.testing.assert_close(trace.nodes[n]["log_prob"], sites[n].log_q())


@pairs
def test_predictive_draws_images(name):
    model, guide = pair(name)
    x = images_for(name)
    draws = Predictive(poutine.uncondition(model), guide=guide, num_samples=4)(x)
    assert draws["x"].shape == (4, *x.shape)
    same = torch.equal(draws["x"][0], draws["x"][1])
    assert torch.equal(draws["x"][0], x) if "density" in name else not same  # y lies in the bin of x


@pairs
def test_prior_predictive_needs_no_images(name):
    model, _ = pair(name)
    assert Predictive(model, num_samples=4)(n=2)["x"].shape == (4, 2, *IMAGE)


def test_samples_that_pyro_vectorises_are_refused():
    """They would be a second batch dimension, which convolutions do not take."""
    model, guide = pair("vae")
    x = images_for("vae")
    for run in (
        lambda: Predictive(model, guide=guide, num_samples=3, parallel=True)(x),
        lambda: Predictive(model, num_samples=3, parallel=True)(n=2),
        lambda: Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1).loss(
            model, guide, x
        ),
    ):
        with pytest.raises(UsageError, match=r"one batch dimension.*take parallel=False or vectorize_part"):
            run()


def test_plates_around_a_program_are_refused():
    model, guide = pair("vae")
    for run in (model, guide):
        with pyro.plate("repeats", 2, dim=-2), pytest.raises(UsageError, match=r"the plate 'repeats' around"):
            run(images_for("vae"))


def test_a_normal_guide_of_pyros_own_takes_the_plate_of_the_batch():
    model, _ = pair("vae")
    x = images_for("vae")
    guide = AutoNormal(model, create_plates=lambda x: pyro.plate("batch", len(x), dim=-1))
    assert guide(x)["z"].shape == (3, 4)
    assert torch.isfinite(ELBO()(model, guide)(x))


@own_guides
def test_pyros_importance_sampling_finds_the_exact_evidence(guide):
    model = two_layers()
    x = model.images()
    run = Importance(model, guide=guide(model, NONE), num_samples=3).run(x)
    evidence = model.log_evidence(x).sum()
    torch.testing.assert_close(torch.stack(run.log_weights), evidence.expand(3), rtol=0, atol=1e-9)
    torch.testing.assert_close(
        run.get_log_normalizer(), evidence, rtol=0, atol=1e-6
    )  # Pyro's log 3 is float32


def test_pyros_importance_weights_are_those_of_an_ordinary_guide():
    model = two_layers()
    x = model.images()
    ours, plain = BottomUp(model, WRONG), ordinary(model, WRONG)
    weights = [seeded(Importance(model, guide=g, num_samples=5).run, x).log_weights for g in (ours, plain)]
    torch.testing.assert_close(*map(torch.stack, weights), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["vae", "biva of 3 layers"])
def test_an_ordinary_program_may_stand_for_the_guide(name):
    """A function that runs the guide is no `Guide`; through trace and replay it is worth the same."""
    model, guide = pair(name)
    x = images_for(name)
    ours = seeded(ELBO(kl=monte_carlo)(model, guide), x)
    plain = seeded(ELBO(kl=monte_carlo)(model, lambda x: guide(x)), x)
    torch.testing.assert_close(plain, ours)


CONDITIONED = {
    "vae": "z",
    "biva of 2 layers": "z_1_td",
    "biva of 3 layers": "z_2_td",
    "biva of feature maps": "z_2_td",
}
conditioned = pytest.mark.parametrize(("name", "site"), CONDITIONED.items())


def value_for(model, guide, x, site):
    return torch.randn_like(Joint(model, guide, x).sample()[site].value)


@conditioned
def test_a_conditioned_latent_moves_from_the_kl_to_the_likelihood(name, site):
    model, guide = pair(name)
    x = images_for(name)
    free = ELBO()(model, guide).terms(x)
    data = {site: value_for(model, guide, x, site)}
    terms = ELBO()(pyro.condition(model, data=data), guide).terms(x)
    assert set(terms.kl) == set(free.kl) - {site}
    assert set(terms.log_likelihood) == {"x", site}


def test_posteriors_below_see_the_value_of_a_conditioned_latent():
    model, guide = pair("biva of 3 layers")
    x = images()
    value = value_for(model, guide, x, "z_2_td")

    def posterior(value):
        run = pyro.condition(model, data={"z_2_td": value})
        return seeded(Joint(run, guide, x).sample)["z_1_td"].posterior.base_dist.loc

    assert torch.equal(posterior(value), posterior(value))
    assert not torch.equal(posterior(value), posterior(value + 1))


@conditioned
def test_a_guide_bound_to_the_conditioned_model_has_the_same_loss_in_pyro(name, site):
    model, guide = pair(name)
    x = images_for(name)
    run = pyro.condition(model, data={site: value_for(model, guide, x, site)})
    ours = seeded(ELBO(kl=monte_carlo)(run, guide), x)
    theirs = seeded(Trace_ELBO()(run, guide.bound_to(run)), x) / len(x)
    torch.testing.assert_close(ours, theirs)


def test_a_conditioned_latents_weights_are_exact():
    model = two_layers()
    x, z = model.images(), torch.randn(4, 1, dtype=torch.float64)
    run = pyro.condition(model, data={"z_2": z})
    weights = log_weights(run, TopDown(model), x, 5, seed=0)
    joint = torch.cat([z, x.flatten(1)], dim=1)
    c = model.exact.covariance[[0, 2, 3, 4]][:, [0, 2, 3, 4]]
    expected = dist.MultivariateNormal(torch.zeros(4).double(), c).log_prob(joint)
    torch.testing.assert_close(weights[0], expected, rtol=0, atol=1e-9)


def test_bound_to_shares_the_parameters_and_leaves_the_guide_alone():
    model, guide = pair("biva of 2 layers")
    other, _ = pair("biva of 2 layers")
    bound = guide.bound_to(other)
    assert bound.model is other
    assert guide.model is model
    assert [id(p) for p in bound.parameters()] == [id(p) for p in guide.parameters()]
    assert not {id(p) for p in bound.parameters()} & {id(p) for p in model.parameters()}


@conditioned
def test_a_conditioned_guide_shows_its_other_latents(name, site):
    model, guide = pair(name)
    guide = guide.bound_to(model)
    x = images_for(name)
    value = value_for(model, guide, x, site)
    trace = poutine.trace(poutine.condition(guide, data={site: value})).get_trace(x)
    assert site not in trace.stochastic_nodes
    everything = {n for n, s in Joint(model, guide, x).sample().items() if not s.observed}
    assert set(trace.stochastic_nodes) == everything - {site}


def test_conditioning_a_bottom_up_latent_of_the_guide_reaches_the_posteriors_above():
    model, guide = pair("biva of 2 layers")
    x = images()
    value = value_for(model, guide, x, "z_1_bu")

    def posterior(value):
        run = poutine.condition(guide, data={"z_1_bu": value})
        return poutine.trace(run).get_trace(x).nodes["z_2"]["fn"].base_dist.loc

    assert not torch.equal(posterior(value), posterior(value + 1))


def test_blocked_latents_of_the_guide_are_hidden():
    _, guide = pair("biva of 2 layers")
    trace = poutine.trace(poutine.block(guide, hide=["z_2"])).get_trace(images())
    assert set(trace.stochastic_nodes) == {"z_1_bu", "z_1_td"}


def test_replay_against_a_guides_trace_gives_its_latents_to_the_model():
    model, guide = pair("biva of 3 layers")
    x = images()
    guided = poutine.trace(guide).get_trace(x)
    replayed = poutine.trace(poutine.replay(model, trace=guided)).get_trace(x)
    for name in guided.stochastic_nodes:
        assert replayed.nodes[name]["value"] is guided.nodes[name]["value"]


@pytest.mark.parametrize("name", [name for name in PAIRS if name.startswith("vae")])
def test_a_scaled_pair_scales_every_term(name):
    model, guide = pair(name)
    x = images_for(name)
    once = seeded(ELBO(kl=monte_carlo)(model, guide), x)
    with poutine.scale(scale=2.0):
        torch.testing.assert_close(seeded(ELBO(kl=monte_carlo)(model, guide), x), 2 * once)


def test_a_model_run_under_do_notation_ignores_the_posterior():
    model, guide = pair("vae")
    x = images()
    run = pyro.do(model, data={"z": torch.zeros(3, 4, dtype=torch.float64)})
    trace = poutine.trace(run).get_trace(x)
    first, *others = trace.nodes["x"]["fn"].base_dist.logits
    for logits in others:
        assert_equal_up_to_rounding(logits, first, operations=operations(model))
    assert guide.model is None


def test_a_conditioned_model_is_evaluated_in_evaluation_mode_too():
    model, guide = pair("biva with dropout")
    x = images()
    run = pyro.condition(model, data={"z_1_td": value_for(model, guide, x, "z_1_td")})
    model.train()
    weights = [log_weights(run, guide, x, 3, seed=0) for _ in range(2)]
    assert torch.equal(*weights)
    assert model.training


def test_samples_of_a_conditioned_model_follow_the_value():
    model, _ = pair("vae")
    z = torch.zeros(2, 4, dtype=torch.float64)
    pictures = sample(pyro.condition(model, data={"z": z}), 2, mean=True)
    assert_equal_up_to_rounding(pictures[0], pictures[1], operations=operations(model))


def test_likelihood_of_a_conditioned_model_is_a_joint_one():
    model, guide = pair("vae")
    x = images()
    z = torch.zeros(3, 4, dtype=torch.float64)
    run = pyro.condition(model, data={"z": z})
    result = log_likelihood(run, guide, x, 2)
    expected = dist.Normal(0.0, 1.0).log_prob(z).sum(1) + model.likelihood(z).log_prob(x)
    torch.testing.assert_close(result.log_likelihood, expected)


@conditioned
def test_a_conditioned_models_value_of_an_image_serves_all_its_samples(name, site):
    model, guide = pair(name)
    x = images_for(name)
    data = {site: value_for(model, guide, x, site)}
    loss = ELBO(kl=monte_carlo, num_particles=3)(pyro.condition(model, data=data), guide)
    copies = {site: torch.cat([data[site]] * 3)}
    copied = ELBO(kl=monte_carlo)(pyro.condition(model, data=copies), guide)
    torch.testing.assert_close(seeded(loss, x), seeded(copied, torch.cat([x] * 3)))
