"""Samples and reconstructions."""

import pyro
import pyro.distributions as dist
import pyro.poutine as poutine
import pytest
import torch

from tests.catalogue import IMAGE, PAIRS, WITHOUT_LEVELS, WITHOUT_MEAN, images_for, pair, takes_grid
from tests.contracts import assert_equal_up_to_rounding, operations, seeded
from zoo import (
    AmortizedGuide,
    AutoregressiveDensity,
    batch_plate,
    complete,
    decode,
    encode,
    latent,
    reconstruct,
    sample,
)
from zoo.analysis.sampling import Tempered, tempered, upper_half
from zoo.errors import UsageError
from zoo.infer.joint import Joint

pairs = pytest.mark.parametrize("name", PAIRS)


@pairs
def test_samples_are_images_of_the_likelihood(name):
    model, _ = pair(name)
    x = sample(model, 4)
    assert x.shape == (4, *IMAGE)
    assert not x.requires_grad
    if name in WITHOUT_LEVELS:
        assert x.isfinite().all()
        return
    grid = {-1.0, -1 / 3, 1 / 3, 1.0} if takes_grid(name) else {0.0, 1.0}
    assert all(min(abs(v - g) for g in grid) < 1e-6 for v in x.unique().tolist())


@pairs
def test_temperature_one_is_the_models_own_sample(name):
    model, _ = pair(name)
    pictures, expected = seeded(sample, model, 3, temperature=1.0), seeded(model, n=3)
    assert_equal_up_to_rounding(pictures, expected, operations=operations(model))


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


def has_latents(name):
    model, _ = pair(name)
    return not isinstance(model, AutoregressiveDensity)


AUTOREGRESSIVE = [name for name in PAIRS if not has_latents(name)]


@pytest.mark.parametrize("name", [name for name in PAIRS if name not in (*AUTOREGRESSIVE, *WITHOUT_MEAN)])
def test_reconstructions_are_means_given_a_posterior_draw(name):
    model, guide = pair(name)
    x = images_for(name)
    pictures = seeded(reconstruct, model, guide, x)
    assert not pictures.requires_grad
    expected = seeded(Joint(model, guide, x).sample)["x"].prior.mean
    torch.testing.assert_close(pictures, expected.detach())


@pytest.mark.parametrize("name", WITHOUT_MEAN)
def test_reconstructions_are_draws_where_the_likelihood_has_no_mean(name):
    model, guide = pair(name)
    x = images_for(name)
    pictures = seeded(reconstruct, model, guide, x)
    assert not pictures.requires_grad
    assert torch.equal(pictures, seeded(lambda: Joint(model, guide, x).sample()["x"].prior.sample()))


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_what_has_no_latents_completes_the_upper_half(name):
    model, guide = pair(name)
    x = images_for(name, 40)
    pictures = seeded(reconstruct, model, guide, x)
    assert torch.equal(pictures[..., :3, :], x[..., :3, :])
    assert (pictures[..., 3:, :] != x[..., 3:, :]).any()
    assert torch.equal(pictures, seeded(complete, model, x, upper_half(x)))


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_completing_sees_what_is_known(name):
    """Given all but the last pixel, pixels are drawn by their probability given the rest."""
    model, _ = pair(name)
    x = images_for(name, 1).expand(2000, *IMAGE)
    known = torch.ones(IMAGE, dtype=torch.bool)
    known[..., -1, -1] = False
    last = seeded(complete, model, x, known)[..., -1, -1].flatten()
    values = last.unique()
    candidates = x[: len(values)].clone()
    candidates[..., -1, -1] = values[:, None]
    with torch.no_grad():
        masses = model.density().log_prob(candidates).softmax(0)
    shares = torch.stack([(last == value).double().mean() for value in values])
    errors = (masses * (1 - masses) / len(last)).sqrt() + 1e-9
    assert ((shares - masses).abs() < 4.5 * errors).all()


@pytest.mark.parametrize("name", [name for name in AUTOREGRESSIVE if "logistic" not in name])
def test_a_cold_autoregressive_model_draws_one_image(name):
    """Every pixel the most probable given those before it; at other temperatures images differ."""
    model, _ = pair(name)
    x = sample(model, 20, temperature=1e-6)
    assert_equal_up_to_rounding(x, x[:1].expand_as(x), operations=2)  # levels, scaled
    factors = model.density().factors(x[:1]).base_dist
    best = factors.probs.round() if hasattr(factors, "probs") else 2 * factors.logits.argmax(-1) / 3 - 1
    torch.testing.assert_close(x[:1], best.detach().to(x))
    assert (sample(model, 20) != x).any()
    known = torch.zeros(IMAGE, dtype=torch.bool)
    assert torch.equal(complete(model, torch.zeros_like(x), known, temperature=1e-6), x)


def test_a_temperature_of_completions_is_checked():
    model, _ = pair("pixelcnn")
    with pytest.raises(UsageError, match=r"temperature in .*; got 0"):
        complete(model, images_for("pixelcnn"), torch.tensor(True), temperature=0.0)


def test_a_temperature_of_a_layer_that_the_model_has_not_is_refused():
    model, _ = pair("biva of 2 layers")
    assert sample(model, 2, temperature={2: 0.5, 1: 0.7}).shape == (2, *IMAGE)
    with pytest.raises(UsageError, match=r"temperatures of the layers \[1, 2\]; got one of layer 3"):
        sample(model, 2, temperature={2: 0.5, 3: 0.7})


def test_a_model_whose_images_have_another_name_is_named():
    def model(x=None, n=None):
        n = len(x) if x is not None else n
        with batch_plate():
            z = latent("z", dist.Normal(torch.zeros(n, 2), 1.0).to_event(1), layer=1)
            return pyro.sample("picture", dist.Normal(z, 1.0).to_event(1), obs=x)

    guide = AmortizedGuide(lambda x: dist.Normal(x, 1.0).to_event(1))
    x = torch.zeros(3, 2)
    assert sample(model, 3).shape == x.shape
    for call in (
        lambda: sample(model, 3, mean=True),
        lambda: reconstruct(model, guide, x),
        lambda: decode(model, encode(model, guide, x)),
    ):
        with pytest.raises(UsageError, match=r"images are the site 'x'; this one has z, picture$"):
            call()


def test_only_autoregressive_models_complete():
    for name in ("vae", "density", "pixelvae"):
        model, _ = pair(name)
        with pytest.raises(UsageError, match="only autoregressive models without latent variables"):
            complete(model, images_for(name), torch.tensor(True))


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_progress_of_a_sample_rises_to_one(name):
    model, _ = pair(name)
    shares = []
    sample(model, 2, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "at least one sample; got 0"),
        ({"n": -1}, "at least one sample; got -1"),
        ({"n": 2, "temperature": 0.0}, r"temperature in .*; got 0"),
        ({"n": 2, "temperature": -1.0}, r"temperature in .*; got -1"),
        ({"n": 2, "temperature": float("nan")}, r"temperature in .*; got nan"),
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
