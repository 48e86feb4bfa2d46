"""The objectives: their terms, what changes in training, and what they refuse."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from tests.catalogue import IMAGE, PAIRS, family_pair, images, images_for, pair
from tests.contracts import assert_all_close, loss_and_gradients, seeded
from tests.linear_gaussian import BottomUp, Error, two_layers
from zoo import (
    ELBO,
    VAE,
    AmortizedGuide,
    BernoulliLikelihood,
    DReG,
    Guide,
    ImportanceWeighted,
    StandardNormal,
    above,
    batch_plate,
    latent,
    log_weights,
)
from zoo.infer.joint import Joint
from zoo.infer.objectives import analytic_where_unbiased, log_mean, monte_carlo, significant
from zoo.infer.schedules import GeometricDecay

pairs = pytest.mark.parametrize("name", PAIRS)


def with_parameters(loss):
    return list(loss.parameters())


@pytest.mark.parametrize(("name", "k"), [*((name, 3) for name in PAIRS), ("vae", 1), ("biva of 3 layers", 1)])
def test_terms_have_a_value_a_sample_and_image_and_sum_to_the_loss(name, k):
    model, guide = pair(name)
    loss = ELBO(num_particles=k)(model, guide)
    x = images_for(name)
    terms = seeded(loss.terms, x)
    for term in [*terms.kl.values(), *terms.log_likelihood.values()]:
        assert term.shape == (k, len(x))
    total = sum(terms.log_likelihood.values()) - sum(terms.kl.values())
    torch.testing.assert_close(terms.elbo(), total)
    torch.testing.assert_close(seeded(loss, x), -total.mean())


@pairs
def test_terms_are_named_by_site(name):
    model, guide = pair(name)
    terms = ELBO()(model, guide).terms(images_for(name))
    assert set(terms.log_likelihood) == {"x"}
    assert set(terms.kl) == set(pyro.poutine.trace(guide).get_trace(images_for(name)).stochastic_nodes)


@pairs
def test_stats_of_the_last_step_are_the_means_of_its_terms(name):
    loss = ELBO(num_particles=2)(*pair(name))
    value = loss(images_for(name))
    stats = loss.stats
    torch.testing.assert_close(stats["elbo"], -value.detach())
    torch.testing.assert_close(stats["elbo"], stats["log_likelihood"] - stats["kl"])
    by_site = (v for key, v in stats.items() if key.startswith("kl/"))
    torch.testing.assert_close(sum(by_site, torch.zeros_like(value)).detach(), stats["kl"])
    assert not any(v.requires_grad for v in stats.values())


def test_an_image_has_the_same_terms_alone_and_in_a_batch():
    """With a posterior so narrow that its noise does not matter."""
    model = two_layers()
    loss = ELBO()(model, BottomUp(model, Error(width=1e-9)))
    x = model.images()
    together = loss.terms(x).log_likelihood["x"][0]
    alone = torch.cat([loss.terms(image[None]).log_likelihood["x"][0] for image in x])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


# free bits


class Known(Guide):
    """Posteriors N(m, 1) of D dimensions under priors N(0, 1): KL = D m^2 / 2; m is a parameter."""

    def __init__(self, mean, dimensions=16):
        super().__init__()
        self.mean, self.dimensions = nn.Parameter(torch.tensor(mean).double()), dimensions

    def posterior(self, name, prior, h, x):
        return dist.Normal(self.mean.expand(len(x), self.dimensions), 1.0).to_event(1)


class KnownModel(nn.Module):
    """A likelihood that does not depend on z."""

    def __init__(self, latents=("z",), dimensions=16):
        super().__init__()
        self.latents, self.dimensions = latents, dimensions

    def forward(self, x):
        with batch_plate():
            for name in self.latents:
                latent(name, dist.Normal(torch.zeros(len(x), self.dimensions).double(), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=torch.zeros_like(x)).to_event(3), obs=x)


def charge_and_gradient(objective, mean, *, latents=("z",)):
    """What the KL terms cost in training, nats an image, and its derivative by the posteriors' mean."""
    loss = objective(KnownModel(latents), Known(mean)).train()
    x = images()
    charge = loss(x) - x[0].numel() * math.log(2)
    (gradient,) = torch.autograd.grad(charge, [loss.guide.mean])
    return charge.item(), gradient.item()


@pytest.mark.parametrize("free", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("kl", [0.5, 2.0])
@pytest.mark.parametrize("beta", [1.0, 0.25])
def test_free_bits_cost_the_maximum_of_lambda_and_the_kl(free, kl, beta):
    mean = math.sqrt(2 * kl / 16)
    charge, gradient = charge_and_gradient(ELBO(free_bits=free, beta=beta), mean, latents=("a", "b"))
    assert charge == pytest.approx(2 * beta * max(free, kl))
    assert gradient == pytest.approx(2 * beta * 16 * mean if kl > free else 0.0)


@pytest.mark.parametrize(("free", "expected"), [(0.1, 0.5), (1.0, 1.0)])
def test_free_bits_clamp_the_mean_of_the_particles_and_not_each(free, expected):
    """16 dimensions with a KL of 0.5: one particle's log q - log p has a standard deviation of 1."""
    k = 10_000
    objective = ELBO(k, free_bits=free, kl=monte_carlo)
    charge, gradient = charge_and_gradient(objective, 0.25)
    assert charge == pytest.approx(expected, abs=4.5 / math.sqrt(3 * k))
    assert gradient == 0 if free > 0.5 else gradient == pytest.approx(4.0, abs=4.5 * 4 / math.sqrt(3 * k))


def test_free_bits_are_of_each_image():
    """One image has a KL above lambda, two have none: they do not share."""

    class Uneven(Known):
        def posterior(self, name, prior, h, x):
            which = torch.arange(len(x)).double()[:, None] == 0
            return dist.Normal(self.mean * which.expand(-1, 16), 1.0).to_event(1)

    x = images()
    loss = ELBO(free_bits=1.0)(KnownModel(), Uneven(1.0)).train()
    charge = loss(x).item() - x[0].numel() * math.log(2)
    assert charge == pytest.approx((8.0 + 1.0 + 1.0) / 3)


def test_auxiliary_variables_of_the_guide_have_no_free_bits():
    """Those that are hidden cost nothing, others their -log q."""
    model, guide = pair("biva of 3 layers")
    loss = ELBO(free_bits=1e4)(model, above(guide, 1)).train()
    charge = loss(images()).detach() + loss.stats["log_likelihood"]
    assert charge.item() == pytest.approx(5e4)
    own = ELBO(free_bits=1e4)(TwoLatents(), guide_over("a", "b", "c", auxiliary=("c",))).train()
    charge = own(x32()) + own.stats["log_likelihood"] - own.stats["kl/c"]
    assert charge.item() == pytest.approx(2e4, rel=1e-6)


@pytest.mark.parametrize("name", ["vae", "biva of 3 layers"])
def test_a_kl_below_lambda_has_no_gradient(name):
    model, guide = pair(name)
    x = images_for(name)
    loss = ELBO(free_bits=1e5)(model, guide).train()
    without_kl = loss_and_gradients(
        lambda x: -sum(loss.terms(x).log_likelihood.values()).mean(), x, parameters=with_parameters(loss)
    )
    free = loss_and_gradients(loss, x, parameters=with_parameters(loss))
    assert_all_close(free[1], without_kl[1])


def test_a_model_whose_guide_is_the_prior_pays_lambda_for_every_variable():
    model, _ = pair("biva of 3 layers")

    class Prior(Guide):
        def posterior(self, name, prior, h, features):
            return prior

    loss = ELBO(free_bits=2.0)(model, Prior(model)).train()
    x = images()
    terms = seeded(loss.terms, x)
    assert all((kl == 0).all() for kl in terms.kl.values())
    expected = 2.0 * 5 - terms.log_likelihood["x"].mean()
    torch.testing.assert_close(seeded(loss, x), expected)


@pairs
def test_no_free_bits_is_the_plain_elbo(name):
    model, guide = pair(name)
    x = images_for(name)
    plain, free = ELBO()(model, guide).train(), ELBO(free_bits=0.0)(model, guide).train()
    torch.testing.assert_close(seeded(free, x), seeded(plain, x))


@pytest.mark.parametrize("objective", [ELBO(free_bits=100.0), ELBO(beta=0.1), ELBO(warmup=10)])
def test_evaluation_is_the_plain_bound(objective):
    model, guide = pair("biva of 2 layers")
    x = images()
    plain = ELBO()(model, guide)
    torch.testing.assert_close(seeded(objective(model, guide).eval(), x), seeded(plain.eval(), x))
    assert (seeded(objective(model, guide).train(), x) - seeded(plain.train(), x)).abs() > 0.01


def test_free_bits_end_when_their_schedule_says():
    model, guide = pair("vae")
    x = images()
    loss = ELBO(free_bits=100.0, free_bits_steps=3)(model, guide).train()
    plain = seeded(ELBO()(model, guide), x)
    for step, ended in enumerate([False, False, False, True]):
        loss.schedule(step)
        assert torch.isclose(seeded(loss, x), plain) == ended


def test_ended_free_bits_have_the_plain_gradient():
    model, guide = pair("biva of 2 layers")
    x = images()
    loss = ELBO(kl=monte_carlo, free_bits=1.0, free_bits_steps=0)(model, guide).train()
    plain = ELBO(kl=monte_carlo)(model, guide).train()
    ours = loss_and_gradients(loss, x, parameters=with_parameters(loss))
    theirs = loss_and_gradients(plain, x, parameters=with_parameters(plain))
    assert_all_close([ours[0], *ours[1]], [theirs[0], *theirs[1]])


# beta and schedules


@pytest.mark.parametrize("beta", [0.0, 0.3, 2.0])
def test_beta_weighs_the_kl(beta):
    loss = ELBO(beta=beta)(*pair("biva of 2 layers")).train()
    x = images()
    terms = seeded(loss.terms, x)
    expected = beta * sum(terms.kl.values()) - terms.log_likelihood["x"]
    torch.testing.assert_close(seeded(loss, x), expected.mean())


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_beta_rises_linearly_to_its_value(beta):
    loss = ELBO(beta=beta, warmup=4)(*pair("vae"))
    seen = []
    for step in range(6):
        loss.schedule(step)
        seen.append(loss.beta.item())
    assert seen == [beta * factor for factor in (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)]


def test_a_fresh_loss_is_at_step_zero():
    assert ELBO(warmup=4)(*pair("vae")).beta == 0.25


def test_schedules_are_their_formulas():
    decay = GeometricDecay(0.1, factor=0.5, floor=0.02)
    assert [decay(s) for s in range(5)] == [0.1, 0.05, 0.025, 0.02, 0.02]
    objective = ELBO(free_bits=2.0, free_bits_steps=2)
    assert [objective.free_bits_at(s) for s in range(4)] == [2.0, 2.0, 0.0, 0.0]
    assert ELBO(beta=3.0).beta_at(0) == 3


def test_the_state_of_a_loss_is_that_of_its_pair():
    loss = ELBO(beta=0.3, free_bits=1.0)(*pair("vae"))
    assert {key.split(".")[0] for key in loss.state_dict()} == {"model", "guide"}


# importance-weighted bound


@pairs
def test_one_importance_sample_is_the_monte_carlo_elbo(name):
    model, guide = pair(name)
    x = images_for(name)
    iw, elbo = ImportanceWeighted(1)(model, guide), ELBO(kl=monte_carlo)(model, guide)
    ours = loss_and_gradients(iw, x, parameters=with_parameters(iw))
    theirs = loss_and_gradients(elbo, x, parameters=with_parameters(elbo))
    assert_all_close([ours[0], *ours[1]], [theirs[0], *theirs[1]])


@pairs
def test_importance_weighted_loss_is_minus_the_log_mean_weight(name):
    loss = ImportanceWeighted(5)(*pair(name))
    x = images_for(name)
    log_w = seeded(loss.terms, x).elbo()
    assert log_w.shape == (5, len(x))
    expected = -(log_w - log_w.max()).exp().mean(0).log().mean() - log_w.max()
    torch.testing.assert_close(seeded(loss, x), expected)
    torch.testing.assert_close(loss.stats["bound"], -expected.detach())


def test_importance_weighted_gradient_is_the_self_normalised_one():
    loss = ImportanceWeighted(4)(*pair("vae"))
    x = images()
    parameters = with_parameters(loss)
    _, gradients = loss_and_gradients(loss, x, parameters=parameters)

    def surrogate(x):
        log_w = loss.terms(x).elbo()
        return -(log_w.detach().softmax(0) * log_w).sum(0).mean()

    _, expected = loss_and_gradients(surrogate, x, parameters=parameters)
    assert_all_close(gradients, expected)


@pytest.mark.parametrize("share", [lambda w: log_mean(w).sum(), lambda w: significant(w).softmax(0)[0].sum()])
def test_a_gradient_by_weights_has_no_denormal_floats(share):
    """Of log weights that lie hundreds of nats apart, as those of a trained model do."""
    spread = torch.linspace(0, -300, 601)
    log_w = torch.stack([spread, spread.flip(0) - 1000.0], dim=1).requires_grad_()
    (gradient,) = torch.autograd.grad(share(log_w), log_w)
    (plain,) = torch.autograd.grad(log_w.logsumexp(0).sum(), log_w)
    smallest = torch.finfo(torch.float32).tiny
    assert ((plain != 0) & (plain < smallest)).any()
    assert ((gradient == 0) | (gradient.abs() >= smallest)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_negligible_weights_change_no_sum_of_weights(dtype):
    log_w = 100 * torch.randn(50, 1000, dtype=dtype, generator=torch.Generator().manual_seed(0))
    few = 50 * torch.finfo(dtype).eps
    torch.testing.assert_close(log_mean(log_w), log_w.logsumexp(0) - math.log(50), rtol=few, atol=few)
    torch.testing.assert_close(significant(log_w).softmax(0), log_w.softmax(0), rtol=few, atol=3e-22)


def test_weights_that_are_all_zero_stay_so():
    assert log_mean(torch.full((3, 1), -math.inf)) == -math.inf
    assert log_mean(torch.full((3, 1), math.nan)).isnan()


# KL terms


def test_closed_forms_are_taken_where_they_are_unbiased():
    model, guide = pair("biva of 3 layers")
    for name, site in Joint(model, guide, images()).sample().items():
        if not site.observed:
            expected = monte_carlo(site) if name.endswith("bu") else site.kl()
            assert torch.equal(analytic_where_unbiased(site), expected)


def test_monte_carlo_is_taken_where_pyro_knows_no_closed_form():
    model, guide = pair("vae, flow posterior")
    site = Joint(model, guide, images()).sample()["z"]
    with pytest.raises(NotImplementedError):
        site.kl()
    torch.testing.assert_close(analytic_where_unbiased(site), monte_carlo(site))


def test_a_latent_answered_by_its_prior_costs_nothing():
    """The bound L^{>k}: posteriors of the layers below k are their priors."""
    model, guide = pair("biva of 3 layers")

    class Above(type(guide)):
        def posterior(self, name, prior, h, features):
            return prior if name == "z_1_td" else super().posterior(name, prior, h, features)

    from_above = Above(guide.layers, guide.top, model=model)
    for kl in (monte_carlo, analytic_where_unbiased):
        terms = ELBO(kl=kl)(model, from_above).terms(images()).kl
        assert (terms["z_1_td"] == 0).all()
        assert (terms["z_2_td"] != 0).all()


# what is refused


@pytest.mark.parametrize("objective", [ELBO(), ELBO(kl=monte_carlo), ImportanceWeighted(2)])
@pytest.mark.parametrize("family", ["categorical", "bernoulli", "poisson"])
def test_a_posterior_that_is_not_reparameterised_is_refused_where_a_gradient_is_wanted(family, objective):
    loss = objective(*family_pair(family))
    with pytest.raises(ValueError, match=r"posterior of 'z', .*not reparameterised.*Trace_ELBO"):
        loss(images())
    with torch.no_grad():
        assert loss(images()).isfinite()


def test_the_family_that_is_not_reparameterised_trains_with_pyros_objective():
    model, guide = family_pair("bernoulli")
    loss = pyro.infer.Trace_ELBO()(model, guide)
    loss(images()).backward()
    assert all(p.grad is not None for p in guide.parameters())


class TwoLatents(nn.Module):
    def forward(self, x):
        with batch_plate():
            a = latent("a", StandardNormal(2)().expand([len(x)]))
            b = latent("b", StandardNormal(2)().expand([len(x)]))
            logits = (a + b).sum(1).view(-1, 1, 1, 1).expand(-1, *IMAGE)
            return pyro.sample("x", dist.Bernoulli(logits=logits).to_event(3), obs=x)


def guide_over(*sites, auxiliary=(), n=None):
    def guide(x):
        with batch_plate():
            for site in sites:
                infer = {"is_auxiliary": site in auxiliary}
                pyro.sample(site, StandardNormal(2)().expand([n or len(x)]), infer=infer)

    return guide


def x32():
    return images(dtype=torch.float32)


@pytest.mark.parametrize("run", [lambda m, g, x: ELBO()(m, g)(x), lambda m, g, x: log_weights(m, g, x, 2)])
def test_a_guide_that_lacks_a_latent_is_refused(run):
    with pytest.raises(ValueError, match="does not sample the model's latent 'b'"):
        run(TwoLatents(), guide_over("a"), x32())


@pytest.mark.parametrize("run", [lambda m, g, x: ELBO()(m, g)(x), lambda m, g, x: log_weights(m, g, x, 2)])
def test_a_guide_with_a_latent_that_the_model_lacks_is_refused(run):
    with pytest.raises(ValueError, match="the guide samples 'c', which the model does not"):
        run(TwoLatents(), guide_over("a", "b", "c"), x32())


def test_an_auxiliary_variable_of_the_guide_counts_with_its_own_density():
    guide = guide_over("a", "b", "c", auxiliary=("c",))
    terms = ELBO(kl=monte_carlo, num_particles=2)(TwoLatents(), guide).terms(x32())
    assert set(terms.kl) == {"a", "b", "c"}
    assert (terms.kl["a"] == 0).all()
    assert (terms.kl["c"] != 0).all()


def test_an_auxiliary_variable_is_a_term_under_the_default_objective_too():
    guide = guide_over("a", "b", "c", auxiliary=("c",))
    default, sampled = (objective(TwoLatents(), guide) for objective in (ELBO(), ELBO(kl=monte_carlo)))
    torch.testing.assert_close(seeded(default, x32()), seeded(sampled, x32()))


def test_an_amortized_guide_says_which_latent_it_cannot_answer():
    guide = AmortizedGuide(lambda x: StandardNormal(2)().expand([len(x)]), site="a")
    with pytest.raises(ValueError, match="answers the latent 'a', not 'b'"):
        ELBO()(TwoLatents(), guide)(x32())


@pytest.mark.parametrize(
    ("model", "guide", "latent"),
    [
        ("biva of 3 layers", "biva of 2 layers", "z_3"),
        ("iwae of 3 layers", "iwae of 2 layers, sylvester posteriors", "z_3"),
        ("vae", "hierarchical vae", "z"),
        ("vae", "hvae + vamp", "z"),
    ],
)
def test_a_guide_of_another_system_says_which_latent_it_does_not_know(model, guide, latent):
    (model, _), (_, guide) = pair(model), pair(guide)
    with pytest.raises(ValueError, match=f"Guide has no posterior for the latent '{latent}': it was made"):
        ELBO()(model, guide)(images())


def test_an_error_of_a_posterior_is_its_own():
    class Broken(Guide):
        def posterior(self, name, prior, h, features):
            return {}["b"]

    with pytest.raises(KeyError, match="b"):
        ELBO()(TwoLatents(), Broken())(x32())


def test_a_guide_without_posterior_says_so():
    with pytest.raises(NotImplementedError, match="Guide has no posterior for the latent 'a'"):
        ELBO()(TwoLatents(), Guide())(x32())


def test_a_guide_without_a_model_cannot_run_by_itself():
    with pytest.raises(ValueError, match=r"needs a model to run by itself.*guide.bound_to\(model\)"):
        Guide()(x32())


class GlobalLatent(nn.Module):
    def forward(self, x):
        shared = pyro.sample("shared", dist.Normal(0.0, 1.0))
        with batch_plate():
            logits = shared.expand(len(x), *IMAGE)
            return pyro.sample("x", dist.Bernoulli(logits=logits).to_event(3), obs=x)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("run", [lambda m, g, x: ELBO()(m, g)(x), lambda m, g, x: log_weights(m, g, x, 3)])
def test_a_global_latent_is_refused_whatever_the_batch(run, n):
    def guide(x):
        pyro.sample("shared", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match=r"got 'shared' in no plate.*no global latents"):
        run(GlobalLatent(), guide, images(n, dtype=torch.float32))


@pytest.mark.parametrize("run", [lambda m, g, x: ELBO()(m, g)(x), lambda m, g, x: log_weights(m, g, x, 2)])
def test_a_prior_that_is_not_expanded_is_refused(run):
    class Forgetful(nn.Module):
        def forward(self, x):
            with batch_plate():
                z = latent("z", dist.Normal(torch.zeros(1, 2), 1.0).to_event(1))
                logits = z.sum(1).view(-1, 1, 1, 1).expand(len(x), *IMAGE)
                return pyro.sample("x", dist.Bernoulli(logits=logits).to_event(3), obs=x)

    guide = AmortizedGuide(lambda x: dist.Normal(torch.zeros(1, 2), 1.0).to_event(1))
    with pytest.raises(ValueError, match=r"one term an image at site 'z'.*expand the prior"):
        run(Forgetful(), guide, x32())


def test_a_posterior_over_the_wrong_batch_is_refused():
    model = VAE(StandardNormal(2), BernoulliLikelihood(Broadcast()))
    guide = AmortizedGuide(lambda x: StandardNormal(2)().expand([len(x) + 1]))
    with pytest.raises(ValueError, match=r"site|batch|broadcast|shape"):
        ELBO()(model, guide)(x32())


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    "q",
    [
        lambda n: dist.Normal(torch.zeros(n, 3), 1.0).to_event(1),
        lambda n: dist.Normal(torch.zeros(n), 1.0),
        lambda n: dist.Normal(torch.zeros(n, 1), 1.0).to_event(1),
    ],
)
def test_a_posterior_of_another_event_shape_is_refused(early, q):
    """Before the model runs on its draws, and says so of its own layers, or broadcasts."""
    model = VAE(StandardNormal(2), BernoulliLikelihood(Broadcast()))

    def ordinary(x):
        with batch_plate():
            pyro.sample("z", q(len(x)))

    guide = ordinary if early else AmortizedGuide(lambda x: q(len(x)))
    with pytest.raises(ValueError, match=r"posterior of the latent 'z' .*event shape \(2,\); got draws"):
        ELBO()(model, guide)(x32())


class Broadcast(nn.Module):
    out_shape = IMAGE

    def forward(self, z):
        return z.sum(1).view(-1, 1, 1, 1).expand(-1, *IMAGE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ELBO(num_particles=0), "num_particles >= 1; got 0"),
        (lambda: ELBO(beta=-1.0), "beta >= 0, finite in float32; got -1"),
        (lambda: ELBO(beta=math.nan), "beta >= 0, finite in float32; got nan"),
        (lambda: ELBO(free_bits=-1.0), "free_bits >= 0 nats, finite in float32; got -1"),
        (lambda: ELBO(free_bits=1e308), "free_bits >= 0 nats, finite in float32; got 1e\\+308"),
        (lambda: ELBO(warmup=-1), "warmup >= 0 steps; got -1"),
        (lambda: ELBO(free_bits_steps=-1), "free_bits_steps >= 0; got -1"),
        (lambda: ImportanceWeighted(0), "k >= 1; got 0"),
        (lambda: ImportanceWeighted("5"), "k >= 1; got '5'"),
        (lambda: DReG(2.5), "k >= 1; got 2.5"),
        (lambda: ELBO(*pair("vae")), r"got VAE, a program: .*called with the pair, zoo.ELBO\(\)"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["vae", "biva of 2 layers"])
def test_a_model_without_images_or_number_says_what_it_needs(name):
    model, _ = pair(name)
    with pytest.raises(ValueError, match=r"needs x, images .* or n"):
        model()


def test_observed_sites_may_be_several():
    class Labelled(nn.Module):
        def forward(self, x):
            with batch_plate():
                z = latent("z", StandardNormal(2)().expand([len(x)]))
                pyro.sample("y", dist.Bernoulli(logits=z[:, 0]), obs=(x.mean((1, 2, 3)) > 0.5).float())
                logits = z.sum(1).view(-1, 1, 1, 1).expand(-1, *IMAGE)
                return pyro.sample("x", dist.Bernoulli(logits=logits).to_event(3), obs=x)

    guide = AmortizedGuide(lambda x: StandardNormal(2)().expand([len(x)]))
    terms = ELBO(num_particles=2)(Labelled(), guide).terms(x32())
    assert set(terms.log_likelihood) == {"x", "y"}
    assert terms.log_likelihood["y"].shape == (2, 3)


def test_deterministic_sites_are_no_terms():
    class Noted(TwoLatents):
        def forward(self, x):
            pyro.deterministic("note", x.sum())
            return super().forward(x)

    terms = ELBO()(Noted(), guide_over("a", "b")).terms(x32())
    assert set(terms.log_likelihood) == {"x"}


def test_latents_of_several_dimensions_a_plate_are_summed_an_image():
    class Maps(nn.Module):
        def forward(self, x):
            with batch_plate():
                z = latent("z", dist.Normal(torch.zeros(len(x), 2, 3), 1.0).to_event(2))
                logits = z.sum((1, 2)).view(-1, 1, 1, 1).expand(-1, *IMAGE)
                return pyro.sample("x", dist.Bernoulli(logits=logits).to_event(3), obs=x)

    guide = AmortizedGuide(lambda x: dist.Normal(torch.ones(len(x), 2, 3), 1.0).to_event(2))
    kl = ELBO()(Maps(), guide).terms(x32()).kl["z"]
    torch.testing.assert_close(kl, torch.full((1, 3), 6 * 0.5))


def test_masked_images_count_nothing():
    class Masked(nn.Module):
        def forward(self, x):
            with batch_plate():
                z = latent("z", StandardNormal(2)().expand([len(x)]))
                logits = z.sum(1).view(-1, 1, 1, 1).expand(-1, *IMAGE)
                with pyro.poutine.mask(mask=torch.tensor([True, False, True])):
                    return pyro.sample("x", dist.Bernoulli(logits=logits).to_event(3), obs=x)

    guide = AmortizedGuide(lambda x: StandardNormal(2)().expand([len(x)]))
    term = ELBO()(Masked(), guide).terms(x32()).log_likelihood["x"][0]
    assert term[1] == 0
    assert (term[[0, 2]] < 0).all()
    assert math.isfinite(term.sum())
