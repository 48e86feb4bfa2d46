"""Annealed importance sampling against evidence that is known."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from tests.catalogue import DENSITIES, WITHOUT_DROPOUT, images_for, pair
from tests.linear_gaussian import NONE, PAIRS, WRONG, LinearGaussian, TopDown, one_layer, two_layers
from zoo import batch_plate, log_likelihood
from zoo.errors import NonFiniteError, UsageError
from zoo.infer.annealed import annealed_log_likelihood, bracket_log_likelihood, simulate
from zoo.infer.annealing import Path, Settings, adapted_kernel, run
from zoo.infer.programs import evaluating

WITH_FREE_LATENTS = [  # not confined to the bin of a grey level
    name for name in WITHOUT_DROPOUT if name not in DENSITIES and not name.startswith(("density", "pixel"))
]
FEW = ["one layer, ordinary", "two layers, top-down", "two layers, bottom-up"]


def ratios(log_w, log_p):
    """Mean of w / p(x) over chains (C, B), and its standard error."""
    w = (log_w - log_p).exp()
    return w.mean(0), w.std(0) / math.sqrt(len(w))


def annealed_runs(model, x, guide=None, *, chains, steps, leapfrog=3, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        path = Path(model, guide, x, chains)
        kernel = adapted_kernel(path, Settings(chains, steps, leapfrog, 0.65, "sigmoid"))
        return run(kernel, path.start(), **options).log_weights


@pytest.mark.parametrize(
    ("name", "start"), [*((name, "guide") for name in FEW), *((name, "prior") for name in FEW[:2])]
)
def test_weights_are_unbiased(name, start):
    make_model, make_guide = PAIRS[name]
    model = make_model()
    x = model.images(3) / 2
    guide = make_guide(model, WRONG) if start == "guide" else None
    log_w = annealed_runs(model, x, guide, chains=2000, steps=6, leapfrog=2)
    mean, error = ratios(log_w, model.log_evidence(x))
    assert ((mean - 1).abs() < 4 * error).all()
    assert (error < 0.2).all()


@pytest.mark.parametrize("start", ["prior", "guide"])
def test_the_bound_rises_with_the_temperatures(start):
    model = two_layers()
    x = model.images(4)
    guide = TopDown(model, WRONG) if start == "guide" else None
    bounds = [
        annealed_log_likelihood(model, x, guide=guide, chains=100, steps=steps, leapfrog=2).elbo.mean()
        for steps in (1, 5, 25)
    ]
    exact = model.log_evidence(x).mean()
    assert bounds[0] < bounds[1] < bounds[2] < exact + 0.05


@pytest.mark.parametrize("leapfrog", [3, 10])
def test_no_length_of_trajectories_leaves_chains_behind(leapfrog):
    """A posterior much narrower than the prior: with steps of one size the bound is 9 nats lower and more."""

    def model(x):
        with batch_plate():
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x)), 1.0))
            pyro.sample("x", dist.Normal(z, 0.2), obs=x)

    x = torch.tensor([0.0, 2.0])
    result = annealed_log_likelihood(model, x, chains=50, steps=60, leapfrog=leapfrog)
    exact = dist.Normal(0.0, math.hypot(1.0, 0.2)).log_prob(x)
    assert 0 < (exact - result.elbo).mean() < 4
    assert ((result.log_likelihood - exact).abs() < 5 * result.sampling_stderr).all()


def test_from_the_posterior_every_weight_is_exact():
    model = two_layers()
    x = model.images(3)
    result = annealed_log_likelihood(model, x, guide=TopDown(model, NONE), chains=4, steps=5, leapfrog=1)
    torch.testing.assert_close(result.log_likelihood, model.log_evidence(x), rtol=0, atol=1e-9)
    assert result.sampling_stderr.max() < 1e-7


def test_a_likelihood_that_ignores_the_latents_makes_every_weight_exact():
    def model(x):
        with batch_plate():
            pyro.sample("z", dist.Normal(torch.zeros(len(x), 2), 1).to_event(1))
            pyro.sample("x", dist.Normal(0.5, 2.0).expand([len(x), 3]).to_event(1), obs=x)

    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    result = annealed_log_likelihood(model, x, chains=3, steps=7)
    exact = dist.Normal(0.5, 2.0).log_prob(x).double().sum(1)
    torch.testing.assert_close(result.log_likelihood, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("start", ["prior", "guide"])
def test_one_temperature_is_importance_sampling(start):
    model = one_layer()
    x = model.images(2)
    path = Path(model, TopDown(model, WRONG) if start == "guide" else None, x, 5)
    state = path.start()
    kernel = adapted_kernel(path, Settings(5, 1, 10, 0.65, "sigmoid"))
    torch.testing.assert_close(run(kernel, state).log_weights.flatten(), state.difference)


def test_bounds_from_both_sides_enclose_the_evidence_and_meet():
    model = one_layer(noise=1.5)
    x = model.images(40)
    gaps = []
    for steps in (2, 8, 60):
        bracket = bracket_log_likelihood(model, x, chains=8, steps=steps, leapfrog=3)
        exact = model.log_evidence(bracket.images)
        below, above = exact - bracket.lower.log_likelihood, bracket.upper - exact
        for side in (below, above):
            assert side.mean() > -4 * side.std() / math.sqrt(len(side))
        gaps.append(bracket.gap)
        assert bracket.gap == pytest.approx((below + above).mean().item())
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.2


@pytest.mark.parametrize("start", ["prior", "guide"])
def test_reciprocal_weights_of_the_way_back_are_unbiased(start):
    model = one_layer(image=False, noise=1.5)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        x, latents = simulate(model, model.images(3000))
        path = Path(model, TopDown(model, WRONG) if start == "guide" else None, x, 1)
        kernel = adapted_kernel(path, Settings(1, 12, 3, 0.65, "sigmoid"))
        log_reciprocal = run(kernel, path.start(latents), backwards=True).log_weights
    mean, error = ratios(log_reciprocal.T, -model.log_evidence(x)[:, None])
    assert (mean - 1).abs() < 4 * error
    assert error < 0.2


def test_simulated_images_follow_the_model():
    model = one_layer(image=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x, latents = simulate(model, torch.zeros(5000, 3, dtype=torch.float64))
    together = torch.cat([latents["z_1"], x], dim=1)
    expected = model.exact.covariance
    error = (together.T @ together / len(together) - expected).abs()
    spread = (expected.diagonal()[:, None] * expected.diagonal() + expected.square()).sqrt()
    assert (error < 5 * spread / math.sqrt(len(together))).all()


# --- Constrained latents: conjugate pairs, whose evidence is known ---------------------------------


def beta_binomial(x):
    with batch_plate():
        z = pyro.sample("z", dist.Beta(2.0, 1.5).expand([len(x)]))
        pyro.sample("x", dist.Binomial(10, z), obs=x)


def gamma_poisson(x):
    with batch_plate():
        z = pyro.sample("z", dist.Gamma(3.0, 0.8).expand([len(x)]))
        pyro.sample("x", dist.Poisson(z), obs=x)


def dirichlet_multinomial(x):
    with batch_plate():
        z = pyro.sample("z", dist.Dirichlet(torch.tensor([1.0, 2.0, 3.0])).expand([len(x)]))
        pyro.sample("x", dist.Multinomial(5, z, validate_args=False), obs=x)


def below_another(x):
    """z_1 on (0, z_2): the support depends on another latent."""
    with batch_plate():
        z_2 = pyro.sample("z_2", dist.Uniform(0.0, 1.0).expand([len(x)]))
        z_1 = pyro.sample("z_1", dist.Uniform(torch.zeros(len(x)), z_2))
        pyro.sample("x", dist.Bernoulli(z_1), obs=x)


CONSTRAINED = {
    "unit interval": (
        beta_binomial,
        torch.tensor([0.0, 3.0, 10.0]),
        lambda x: dist.BetaBinomial(2.0, 1.5, 10),
    ),
    "positive": (gamma_poisson, torch.tensor([0.0, 4.0, 12.0]), lambda x: dist.GammaPoisson(3.0, 0.8)),
    "simplex": (
        dirichlet_multinomial,
        torch.tensor([[0.0, 2.0, 3.0], [5.0, 0.0, 0.0]]),
        lambda x: dist.DirichletMultinomial(torch.tensor([1.0, 2.0, 3.0]), 5),
    ),
    "below another": (below_another, torch.tensor([0.0, 1.0]), lambda x: dist.Bernoulli(0.25)),
}


@pytest.mark.parametrize("name", CONSTRAINED)
def test_weights_of_constrained_latents_are_unbiased(name):
    model, values, evidence = CONSTRAINED[name]
    x = torch.as_tensor(values)
    log_w = annealed_runs(model, x, chains=1500, steps=6, leapfrog=2)
    mean, error = ratios(log_w, evidence(x).log_prob(x).double())
    assert ((mean - 1).abs() < 4 * error).all()
    assert (error < 0.14).all()


# --- Any pair, and a user's own program -------------------------------------------------------------


@pytest.mark.parametrize("start", ["prior", "guide"])
@pytest.mark.parametrize("name", WITH_FREE_LATENTS)
def test_the_densities_are_those_of_plain_pyro(name, start):
    model, guide = pair(name)
    x = images_for(name, 2)
    path = Path(model, guide if start == "guide" else None, x, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = path.start()
    z = {b.name: state.u[:, b.columns].reshape(-1, *b.shape) for b in path.blocks}
    rows = x.repeat(3, *[1] * (x.dim() - 1))
    with torch.no_grad():
        trace = pyro.poutine.trace(pyro.condition(model, data=z)).get_trace(rows)
        trace.compute_log_prob()
        prior = pyro.poutine.trace(
            pyro.condition(model if start == "prior" else guide.bound_to(model), data=z)
        )
        start_trace = prior.get_trace(rows)
        start_trace.compute_log_prob()
    own = sum(trace.nodes[n]["log_prob"].double() for n in trace.observation_nodes)
    torch.testing.assert_close(state.log_joint, own)
    log_start = sum(start_trace.nodes[n]["log_prob"].double() for n in z)
    torch.testing.assert_close(state.log_start, log_start)
    assert path.gradient(state.u, 0.5).isfinite().all()


def test_agrees_with_importance_sampling_on_a_vae():
    model, guide = pair("vae, flow posterior")
    x = images_for("vae", 3)
    exact = log_likelihood(model, guide, x, 1000, seed=0)
    for start in (None, guide):
        annealed = annealed_log_likelihood(model, x, guide=start, chains=20, steps=10, leapfrog=2)
        error = (annealed.sampling_stderr.square() + exact.sampling_stderr.square()).sqrt()
        assert ((annealed.log_likelihood - exact.log_likelihood).abs() < 5 * error + 1e-3).all()


def test_a_plain_program_with_a_sized_plate_and_inner_noise():
    weight = torch.tensor([[1.0, -0.5], [0.3, 2.0], [0.0, 1.0]])

    def model(x):
        with pyro.plate("images", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 2), 1).to_event(1))
            pyro.sample("x", dist.Normal(z @ weight.T, 0.5).to_event(1), obs=x)

    x = torch.tensor([[1.0, 0.2, -1.0], [0.0, 0.0, 0.3]])
    exact = dist.MultivariateNormal(torch.zeros(3), weight @ weight.T + 0.25 * torch.eye(3)).log_prob(x)
    result = annealed_log_likelihood(model, x, chains=64, steps=30, leapfrog=3)
    assert ((result.log_likelihood - exact).abs() < 5 * result.sampling_stderr).all()
    assert (result.sampling_stderr < 0.4).all()
    bracket = bracket_log_likelihood(model, x, chains=8, steps=3, leapfrog=1)
    assert bracket.images.shape == x.shape


def test_both_bounds_of_a_model_without_latents_are_exact():
    model, guide = pair("made")
    x = images_for("made", 5)
    bracket = bracket_log_likelihood(model, x, batch_size=2)
    assert bracket.images.shape == x.shape
    exact = log_likelihood(model, guide, bracket.images, 1).log_likelihood
    torch.testing.assert_close(bracket.lower.log_likelihood, exact)
    assert torch.equal(bracket.upper, bracket.lower.log_likelihood)
    assert bracket.gap == 0
    assert bracket.lower.exact


def test_a_conditioned_model():
    """Labels that are observed by `pyro.condition` count, and stay when images are simulated."""

    def model(x):
        with batch_plate():
            y = pyro.sample("y", dist.Normal(torch.zeros(len(x)), 1))
            z = pyro.sample("z", dist.Normal(y, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    y, x = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.5])
    given = pyro.condition(model, data={"y": y})
    exact = dist.Normal(0, 1).log_prob(y) + dist.Normal(y, math.sqrt(2)).log_prob(x)
    result = annealed_log_likelihood(given, x, chains=64, steps=20, leapfrog=2)
    assert ((result.log_likelihood - exact).abs() < 5 * result.sampling_stderr).all()
    far = pyro.condition(model, data={"y": torch.tensor([100.0, -100.0])})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images, _ = simulate(far, x)
    assert images[0] > 90
    assert images[1] < -90


# --- Seeds, acceptance, boundaries -----------------------------------------------------------------


def test_the_seed_is_obeyed_and_the_generator_left_alone():
    model = one_layer()
    x = model.images(3)
    settings = {"chains": 2, "steps": 3, "leapfrog": 1}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (annealed_log_likelihood(model, x, seed=s, **settings) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.log_likelihood, again.log_likelihood)
    assert not torch.equal(first.log_likelihood, other.log_likelihood)
    brackets = [bracket_log_likelihood(model, x, seed=s, **settings) for s in (0, 0, 1)]
    assert torch.equal(brackets[0].upper, brackets[1].upper)
    assert not torch.equal(brackets[0].upper, brackets[2].upper)
    assert torch.equal(torch.get_rng_state(), before)


def test_steps_are_adapted_to_the_target():
    model = LinearGaussian([3], noise=0.2)  # the posterior is narrower than the prior
    x = model.images(3) / 2
    for target in (0.5, 0.9):
        result = annealed_log_likelihood(model, x, chains=32, steps=40, leapfrog=2, target=target)
        assert result.acceptance is not None
        assert ((result.acceptance - target).abs() < 0.15).all()


def test_batches_of_images_are_counted_and_joined():
    model = one_layer()
    x = model.images(5)
    done = []
    result = annealed_log_likelihood(
        model, x, chains=64, steps=8, leapfrog=2, batch_size=2, progress=done.append
    )
    assert done == [2, 2, 1]
    assert ((result.log_likelihood - model.log_evidence(x)).abs() < 5 * result.sampling_stderr).all()
    numbers = result.summary()
    assert (numbers["chains"], numbers["steps"], numbers["images"]) == (64, 8, 5)
    assert numbers["annealed_bound"] <= numbers["log_likelihood"]


def test_a_model_without_latents_is_exact():
    def model(x):
        with batch_plate():
            pyro.sample("x", dist.Normal(0.0, 1.0).expand([len(x), 3]).to_event(1), obs=x)

    x = torch.ones(2, 3)
    result = annealed_log_likelihood(model, x, steps=5)
    assert result.exact
    torch.testing.assert_close(result.log_likelihood.float(), dist.Normal(0.0, 1.0).log_prob(x).sum(1))


def test_modules_are_evaluated_and_left_as_they_were():
    model, guide = pair("biva with dropout")
    x = images_for("biva", 2)
    model.train(), guide.train()
    result, again = (
        annealed_log_likelihood(model, x, guide=guide, chains=2, steps=2, leapfrog=1) for _ in range(2)
    )
    assert torch.equal(result.log_likelihood, again.log_likelihood)
    assert model.training
    assert guide.training
    with evaluating(model, guide):
        pass


def discrete(x):
    with batch_plate():
        y = pyro.sample("y", dist.Bernoulli(torch.full((len(x),), 0.5)))
        pyro.sample("x", dist.Normal(y, 1.0), obs=x)


def latent_normal(x):
    with batch_plate():
        z = pyro.sample("z", dist.Normal(torch.zeros(len(x)), 1))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def point_guide(x):
    with batch_plate():
        pyro.sample("z", dist.Delta(torch.zeros(len(x))))


def auxiliary_guide(x):
    with batch_plate():
        a = pyro.sample("a", dist.Normal(x, 1.0), infer={"is_auxiliary": True})
        pyro.sample("z", dist.Normal(a, 1.0))


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (discrete, {}, "'y' is discrete: observe it"),
        (latent_normal, {"guide": point_guide}, "'z' is a point mass"),
        (latent_normal, {"guide": auxiliary_guide}, "the guide draws 'a', which the model does not have"),
        (latent_normal, {"chains": 0}, "chains >= 1; got 0"),
        (latent_normal, {"steps": 0}, "steps >= 1; got 0"),
        (latent_normal, {"leapfrog": -1}, "leapfrog >= 1; got -1"),
        (latent_normal, {"target": 1.0}, "between 0 and 1; got 1.0"),
        (latent_normal, {"schedule": "cosine"}, "sigmoid or linear; got 'cosine'"),
        (latent_normal, {"batch_size": 0}, "batch_size >= 1"),
    ],
)
def test_what_cannot_be_annealed_is_refused(model, options, message):
    with pytest.raises(UsageError, match=message):
        annealed_log_likelihood(model, torch.zeros(2), **options)


@pytest.mark.parametrize("measure", [annealed_log_likelihood, bracket_log_likelihood])
def test_images_that_are_no_tensor_are_refused(measure):
    with pytest.raises(UsageError, match=r"expected images x, a tensor .*; got dict"):
        measure(latent_normal, {"x": torch.zeros(2)})


def test_a_model_that_observes_something_else_cannot_be_simulated():
    def model(x):
        with batch_plate():
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x)), 1))
            pyro.sample("x", dist.Normal(z, 1.0), obs=2 * x)

    with pytest.raises(UsageError, match="observes x itself, obs=x, at one site; this one does at 0"):
        bracket_log_likelihood(model, torch.zeros(2), steps=1)


def test_weights_that_are_no_numbers_are_refused():
    class Broken(nn.Module):
        def forward(self, x):
            with batch_plate():
                z = pyro.sample("z", dist.Normal(torch.zeros(len(x)), 1))
                pyro.sample("x", dist.Normal(z, 1.0, validate_args=False), obs=x * torch.nan)

    with pyro.validation_enabled(False), pytest.raises(NonFiniteError, match="not a number"):
        annealed_log_likelihood(Broken(), torch.zeros(2), chains=2, steps=2)
