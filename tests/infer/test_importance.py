"""Importance sampling: chunks change nothing, and every figure is what its formula says."""

import math

import pyro
import pytest
import torch
from pyro.ops.stats import fit_generalized_pareto

from tests.catalogue import FAMILIES, family_pair, images, images_for, pair
from tests.contracts import assert_equal_up_to_rounding
from tests.linear_gaussian import PAIRS as LINEAR
from tests.linear_gaussian import WRONG, TopDown, one_layer, two_layers
from zoo import ELBO, ImportanceWeighted, LogLikelihood, log_likelihood, log_weights
from zoo.errors import NonFiniteError, UsageError
from zoo.infer.joint import Joint
from zoo.infer.objectives import monte_carlo
from zoo.infer.weight_statistics import WeightStatistics
from zoo.seeds import mixed_seed

CHUNKED = ["vae", "vae, flow posterior", "biva of 3 layers", "biva of feature maps", "biva with dropout"]


def assert_chunks_do_not_matter(model, guide, x, k=6):
    whole = log_weights(model, guide, x, k, chunk=k, seed=3)
    assert whole.shape == (k, len(x))
    assert whole.std(0).min() > 0
    for chunk in (1, 3, 4, None):
        parts = log_weights(model, guide, x, k, chunk=chunk, seed=3)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CHUNKED)
def test_chunks_do_not_change_a_weight(name):
    assert_chunks_do_not_matter(*pair(name), images_for(name))


@pytest.mark.parametrize("name", LINEAR)
def test_chunks_do_not_change_a_weight_of_any_kind_of_guide(name):
    model, guide = LINEAR[name]
    model = model()
    assert_chunks_do_not_matter(model, guide(model, WRONG), model.images())


@pytest.mark.parametrize("family", FAMILIES)
def test_chunks_do_not_change_a_weight_whatever_the_noise(family):
    assert_chunks_do_not_matter(*family_pair(family), images())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("k", [2, 3, 4])
def test_chunks_do_not_change_a_weight_of_one_image(family, k):
    """As many rows as noise may have of its own: 2 of an asymmetric Laplace, 3 of a von Mises."""
    model, guide = family_pair(family)
    whole, single = (log_weights(model, guide, images(1), k, chunk=c, seed=3) for c in (k, 1))
    torch.testing.assert_close(single, whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_is_the_noise_of_every_family(family):
    model, guide = family_pair(family)
    first, again, other = (log_weights(model, guide, images(), 3, seed=s) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_of_no_family_moves_pytorchs_generator(family):
    model, guide = family_pair(family)
    before = torch.get_rng_state()
    log_weights(model, guide, images(), 3, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_of_every_family_differs_between_samples_and_images(family):
    model, guide = family_pair(family)
    x = images(1).expand(4, -1, -1, -1)
    weights = log_weights(model, guide, x, 6, chunk=2, seed=0)
    assert (weights.std(0) > 0).all()
    assert weights.std(1).max() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_of_a_stream_has_the_distribution_of_pyros_own(family):
    model, guide = family_pair(family)
    x = images(2)
    k = 1500 if family not in ("von mises", "asymmetric laplace") else 200  # one by one
    streams = log_weights(model, guide, x, k, seed=1)
    plain = log_weights_without_streams(model, guide, x, k)
    error = (streams.var(0) / k + plain.var(0) / k).sqrt()
    assert ((streams.mean(0) - plain.mean(0)).abs() < 4.5 * error).all()


def log_weights_without_streams(model, guide, x, k):
    sites = Joint(model, guide, x).sample(k).values()
    terms = [s.log_p() if s.observed else s.log_p() - s.log_q() for s in sites]
    return torch.stack(terms).sum(0).view(k, -1).detach()


def test_more_samples_begin_with_the_same_ones():
    model, guide = pair("vae")
    few, many = (log_weights(model, guide, images(), k, seed=0) for k in (4, 9))
    torch.testing.assert_close(many[:4], few, rtol=0, atol=1e-9)


def test_the_seed_is_the_noise():
    model, guide = pair("vae")
    x = images()
    assert torch.equal(log_weights(model, guide, x, 3, seed=1), log_weights(model, guide, x, 3, seed=1))
    assert not torch.equal(log_weights(model, guide, x, 3, seed=1), log_weights(model, guide, x, 3, seed=2))
    assert not torch.equal(log_weights(model, guide, x, 3), log_weights(model, guide, x, 3))


def test_without_a_seed_pytorchs_generator_decides():
    model, guide = pair("vae")
    torch.manual_seed(5)
    first = log_weights(model, guide, images(), 3)
    torch.manual_seed(5)
    assert torch.equal(first, log_weights(model, guide, images(), 3))


def test_a_seeded_run_leaves_pytorchs_generator_alone():
    model, guide = pair("biva of 2 layers")
    before = torch.get_rng_state()
    log_weights(model, guide, images(), 3, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["vae", "biva of 3 layers"])
def test_log_likelihood_is_the_log_mean_of_the_weights(name):
    model, guide = pair(name)
    x = images(5)
    result = log_likelihood(model, guide, x, 30, chunk=7, batch_size=2, seed=0)
    one_by_one = log_likelihood(model, guide, x, 30, chunk=30, batch_size=2, seed=0)
    torch.testing.assert_close(result.log_likelihood, one_by_one.log_likelihood, rtol=0, atol=1e-9)
    assert result.log_likelihood.shape == (5,)
    assert result.samples == 30
    assert result.dimensions == 30


def test_log_likelihood_of_one_batch_is_that_of_its_log_weights():
    model, guide = pair("vae")
    x = images()
    weights = log_weights(model, guide, x, 40, seed=mixed_seed(0, 0))
    result = log_likelihood(model, guide, x, 40, seed=0)
    expected = direct(weights)
    for name, value in expected.items():
        torch.testing.assert_close(getattr(result, name), value, rtol=1e-9, atol=1e-9)


def direct(log_w):
    """The fields of a result, written out."""
    w = torch.exp(log_w - log_w.max(0).values)
    k = len(w)
    return {
        "log_likelihood": torch.logsumexp(log_w, 0) - math.log(k),
        "elbo": log_w.mean(0),
        "ess": w.sum(0) ** 2 / (w**2).sum(0),
        "sampling_stderr": w.std(0, correction=0) / w.mean(0) / math.sqrt(k),
    }


@pytest.mark.parametrize("k", [1, 5, 100])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 300.0])
def test_statistics_are_their_formulas_in_any_chunking(k, spread):
    log_w = spread * torch.randn(k, 4, dtype=torch.float64) - 5000
    for chunk in (1, 3, k):
        statistics = WeightStatistics(k)
        for part in log_w.split(chunk):
            statistics.update(part)
        results = statistics.results()
        for name, value in direct(log_w).items():
            torch.testing.assert_close(results[name], value, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("k", [25, 100, 2000])
@pytest.mark.parametrize("shape", [-0.5, 0.01, 0.3, 0.7, 1.5])
def test_pareto_k_is_pyros(k, shape):
    log_w = pareto(shape, k)
    m = min(k // 5, math.ceil(3 * math.sqrt(k)))
    for b in range(log_w.shape[1]):
        w = torch.exp(log_w[:, b] - log_w[:, b].max()).sort().values
        fitted, _ = fit_generalized_pareto(w[-m:] - w[-m - 1])
        assert statistics_of(log_w)["pareto_k"][b].item() == pytest.approx(float(fitted), abs=1e-5)


def pareto(shape, k, images=3):
    """Log weights with a generalised Pareto tail of that shape."""
    u = torch.rand(k, images, dtype=torch.float64)
    return torch.log1p(torch.expm1(-shape * u.log()) / shape)


def statistics_of(log_w, chunk=None):
    statistics = WeightStatistics(len(log_w))
    for part in log_w.split(chunk or len(log_w)):
        statistics.update(part)
    return statistics.results()


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_pareto_k_finds_the_tail(shape):
    found = statistics_of(pareto(shape, 20_000, images=20))["pareto_k"]
    assert found.mean().item() == pytest.approx(shape, abs=0.08)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_pareto_k_is_the_same_in_any_chunking(chunk):
    log_w = pareto(0.4, 200)
    found, expected = (statistics_of(log_w, c)["pareto_k"] for c in (chunk, len(log_w)))
    assert_equal_up_to_rounding(found, expected, operations=len(log_w))


def test_pareto_k_does_not_depend_on_the_weights_scale():
    log_w = pareto(0.4, 200)
    torch.testing.assert_close(
        statistics_of(log_w - 4000)["pareto_k"], statistics_of(log_w)["pareto_k"], rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("k", [1, 24])
def test_pareto_k_needs_twenty_five_samples(k):
    results = statistics_of(torch.randn(k, 2).double())
    assert results["pareto_k"].isnan().all()
    assert results["log_likelihood"].isfinite().all()


@pytest.mark.parametrize("k", [1, 10, 1000])
def test_constant_weights_are_sure(k):
    results = statistics_of(torch.full((k, 2), -800.0).double())
    torch.testing.assert_close(results["ess"], torch.full((2,), float(k)).double())
    assert (results["ess"] <= k).all()
    assert (results["sampling_stderr"] < 1e-6).all()
    assert (results["log_likelihood"] + 800).abs().max() < 1e-9
    assert (results["pareto_k"] == 0).all() if k >= 25 else True


def test_constant_weights_of_one_image_leave_the_others_alone():
    log_w = pareto(0.4, 100, images=2)
    mixed = torch.cat([log_w, torch.zeros(100, 1).double()], dim=1)
    alone, beside = statistics_of(log_w)["pareto_k"], statistics_of(mixed)["pareto_k"]
    assert_equal_up_to_rounding(beside[:2], alone, operations=len(log_w))
    assert beside[2] == 0


def test_weights_of_zero_are_allowed():
    log_w = torch.randn(50, 1).double()
    log_w[:10] = -math.inf
    results = statistics_of(log_w)
    torch.testing.assert_close(results["log_likelihood"], log_w.logsumexp(0) - math.log(50))
    assert results["ess"].isfinite().all()
    assert results["pareto_k"].isfinite().all()


@pytest.mark.parametrize("chunk", [7, 50])
def test_no_weight_above_zero_is_no_estimate(chunk):
    """Beside an image of other weights, which has its own figures."""
    log_w = torch.randn(50, 2).double()
    log_w[:, 0] = -math.inf
    results, alone = statistics_of(log_w, chunk), statistics_of(log_w[:, 1:], chunk)
    expected = {"log_likelihood": -math.inf, "elbo": -math.inf, "ess": 0.0}
    for name, value in (expected | {"sampling_stderr": math.inf, "pareto_k": math.inf}).items():
        assert results[name][0] == value, name
        torch.testing.assert_close(results[name][1], alone[name][0], rtol=0, atol=1e-12)


def test_images_of_no_weight_count_among_those_that_are_not_to_be_believed():
    log_w = torch.zeros(50, 4).double()
    log_w[:, 0] = -math.inf
    summary = LogLikelihood(**statistics_of(log_w), samples=50, dimensions=3).summary()
    assert summary["pareto_k_above_0.7"] == 0.25
    assert summary["pareto_k"] == 0
    assert summary["ess"] == pytest.approx(0.75 * 50)
    assert summary["log_likelihood"] == -math.inf
    assert summary["log_likelihood_stderr_over_samples"] == math.inf


def test_a_density_of_infinity_is_an_error():
    model, guide = pair("vae")
    model = pyro.poutine.scale(model, scale=math.inf)
    with pytest.raises(NonFiniteError, match="not a number, or infinite, for image 0"):
        without_checks(log_weights, model, guide, images(), 2)


def test_float32_weights_are_summed_in_float64():
    log_w = 1e4 * torch.randn(500, 2)
    results = statistics_of(log_w)
    expected = log_w.double().mean(0)
    torch.testing.assert_close(results["elbo"], expected, rtol=1e-12, atol=0)


def test_means_and_errors_of_the_table_are_their_formulas():
    model, guide = pair("vae")
    result = log_likelihood(model, guide, images(6), 30, seed=0)
    values = result.log_likelihood
    assert result.mean == pytest.approx(values.mean().item())
    assert result.stderr == pytest.approx(values.std().item() / math.sqrt(6))
    assert result.stderr_over_samples == pytest.approx((result.sampling_stderr**2).sum().sqrt().item() / 6)
    assert result.bits_per_dim == pytest.approx(-result.mean / (30 * math.log(2)))
    assert result.bits_per_dim_stderr == pytest.approx(result.stderr / (30 * math.log(2)))
    summary = result.summary()
    assert summary["images"] == 6
    assert summary["samples"] == 30
    assert summary["pareto_k_above_0.7"] == pytest.approx((result.pareto_k > 0.7).double().mean().item())
    assert summary["smoothed"] == pytest.approx(result.smoothed.mean().item())


def test_few_samples_have_no_pareto_k_in_the_table():
    model, guide = pair("vae")
    summary = log_likelihood(model, guide, images(), 3).summary()
    assert summary["pareto_k"] is None
    assert summary["pareto_k_above_0.7"] is None


def test_one_image_has_no_error_over_images():
    model, guide = pair("vae")
    assert math.isnan(log_likelihood(model, guide, images(1), 3).stderr)


def test_sampling_error_is_what_repetitions_show():
    model = one_layer()
    x = model.images(1).expand(500, -1, -1, -1)
    result = log_likelihood(model, TopDown(model, WRONG), x, 200, batch_size=500, chunk=200, seed=0)
    shown = result.log_likelihood.std().item()
    assert result.sampling_stderr.mean().item() == pytest.approx(shown, rel=0.15)


def test_progress_hears_of_every_image():
    model, guide = pair("vae")
    heard = []
    log_likelihood(model, guide, images(5), 2, batch_size=2, progress=heard.append)
    assert heard == [2, 2, 1]


def test_model_and_guide_are_in_evaluation_mode_meanwhile_and_as_before_afterwards():
    model, guide = pair("biva with dropout")
    model.train()
    guide.train()
    guide.layers[0].eval()
    x = images()
    weights = [log_weights(model, guide, x, 3, seed=0) for _ in range(2)]
    assert torch.equal(*weights)
    assert model.training
    assert guide.training
    assert not guide.layers[0].training


def test_modes_are_as_before_after_an_error():
    model, guide = pair("vae")
    model.train()
    with pytest.raises(ValueError, match="images of shape"):
        log_weights(model, guide, images(3, (1, 9, 9)), 3)
    assert model.training


def test_weights_carry_no_gradient():
    model, guide = pair("vae")
    assert not log_weights(model, guide, images(), 3).requires_grad


def test_weights_that_are_not_numbers_are_an_error():
    model = two_layers()
    x = model.images(3)
    x[1] = math.nan
    with pytest.raises(NonFiniteError, match=r"image 1 of the batch \(1 of 3 images\)"):
        without_checks(log_weights, model, TopDown(model), x, 2)
    with pytest.raises(NonFiniteError):
        without_checks(log_likelihood, model, TopDown(model), x, 2)


def without_checks(function, *args):
    with pyro.validation_enabled(False):
        return function(*args)


@pytest.mark.parametrize("option", ["k", "chunk", "batch_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_less_than_one_is_refused(option, value):
    model, guide = pair("vae")
    options = {"k": 2, option: value}
    with pytest.raises(UsageError, match=f"expected {option} >= 1; got {value}"):
        log_likelihood(model, guide, images(), **options)
    if option != "batch_size":
        with pytest.raises(UsageError, match=f"expected {option} >= 1; got {value}"):
            log_weights(model, guide, images(), **options)


def test_no_images_are_refused():
    model, guide = pair("vae")
    with pytest.raises(UsageError, match="expected images >= 1; got 0"):
        log_likelihood(model, guide, images()[:0], 2)
    for estimate in (log_likelihood, log_weights):
        for x in ([1.0, 2.0], images().numpy(), None):
            with pytest.raises(UsageError, match=rf"images x, a tensor .*got {type(x).__name__}"):
                estimate(model, guide, x, 2)


def test_the_objectives_are_the_weights_bounds():
    model, guide = pair("biva of 3 layers")
    x = images()
    torch.manual_seed(0)
    weights = ELBO(kl=monte_carlo, num_particles=6)(model, guide).terms(x).elbo()
    torch.manual_seed(0)
    loss = ImportanceWeighted(6)(model, guide)(x)
    torch.testing.assert_close(loss, -(weights.logsumexp(0) - math.log(6)).mean())
