"""Pareto smoothed importance weights (arXiv:1507.02646) beside the raw ones."""

import math

import numpy as np
import pytest
import torch

from tests.contracts import assert_equal_up_to_rounding
from tests.infer.test_importance import pareto, statistics_of
from zoo.infer.weight_statistics import generalized_pareto_quantiles


def narrow_proposal(variance, k, repetitions):
    """Log weights of p(z) = N(0, 1) with q(z) = N(0, variance): evidence 1, tail 1 - variance; (k, R)."""
    z = math.sqrt(variance) * torch.randn(k, repetitions, dtype=torch.float64)
    return 0.5 * z.square() * (1 / variance - 1) + 0.5 * math.log(variance)


@pytest.mark.parametrize("variance", [0.3, 0.4, 0.5])
def test_smoothed_weights_of_a_heavy_tail_have_the_smaller_error(variance):
    """Log evidence 0, 1,000 repetitions; measured is half of the raw error and less."""
    found = statistics_of(narrow_proposal(variance, 1000, 1000))
    raw, smoothed = (found[name] for name in ("log_likelihood", "smoothed"))
    assert smoothed.square().mean() < 0.8 * raw.square().mean()
    assert smoothed.expm1().square().mean() < 0.8 * raw.expm1().square().mean()


@pytest.mark.parametrize("k", [25, 100, 2000])
@pytest.mark.parametrize("shape", [0.05, 0.3, 0.7, 1.5])
def test_the_smoothed_estimate_is_that_of_the_weights_written_out(k, shape):
    log_w = pareto(shape, k) - 700
    found = statistics_of(log_w, chunk=40)["smoothed"]
    for b in range(log_w.shape[1]):
        assert found[b].item() == pytest.approx(smoothed_in_numpy(log_w[:, b].numpy()), abs=1e-9)


def smoothed_in_numpy(log_w):
    """The log mean of smoothed weights, by a loop over the grid of Zhang and Stephens."""
    w = np.sort(np.exp(log_w - log_w.max()))
    m = min(len(w) // 5, math.ceil(3 * math.sqrt(len(w))))
    threshold, tail = w[-m - 1], w[-m:] - w[-m - 1]
    size = 30 + int(math.sqrt(m))
    quartile = tail[int(m / 4 + 0.5) - 1]
    b = np.array(
        [1 / tail[-1] + (1 - math.sqrt(size / (j - 0.5))) / (3 * quartile) for j in range(1, size + 1)]
    )
    shapes = np.array([np.log1p(-value * tail).mean() for value in b])
    profile = m * (np.log(-b / shapes) - shapes - 1)
    posterior = np.array([1 / np.exp(profile - profile[j]).sum() for j in range(size)])
    mean = (posterior * b).sum()
    shape = np.log1p(-mean * tail).mean()
    sigma = -shape / mean
    shape = (m * shape + 5) / (m + 10)
    levels = (np.arange(m) + 0.5) / m
    w[-m:] = np.minimum(threshold + sigma / shape * ((1 - levels) ** -shape - 1), w[-1])
    return log_w.max() + math.log(w.mean())


@pytest.mark.parametrize("k", [1, 24])
def test_too_few_samples_are_not_smoothed(k):
    found = statistics_of(torch.randn(k, 3).double())
    assert torch.equal(found["smoothed"], found["log_likelihood"])


def test_equal_weights_are_not_smoothed_nor_are_those_of_zero():
    log_w = torch.full((100, 3), -800.0).double()
    log_w[:, 1] = -math.inf
    log_w[:, 2] = torch.randn(100)
    found = statistics_of(log_w)
    assert torch.equal(found["smoothed"][:2], found["log_likelihood"][:2])
    assert found["smoothed"][2] != found["log_likelihood"][2]


def test_no_smoothed_weight_is_larger_than_the_largest():
    log_w = pareto(3.0, 400, images=20)
    found = statistics_of(log_w)
    m = 60
    bound = torch.cat([log_w.sort(0).values[:-m], log_w.max(0).values.expand(m, -1)])
    assert (found["smoothed"] <= bound.logsumexp(0) - math.log(400)).all()


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_chunks_do_not_change_the_smoothed_estimate(chunk):
    log_w = pareto(0.4, 200)
    found, expected = (statistics_of(log_w, c)["smoothed"] for c in (chunk, len(log_w)))
    assert_equal_up_to_rounding(found, expected, operations=len(log_w))


@pytest.mark.parametrize("shape", [-0.5, 0.0, 1e-9, 0.7])
def test_quantiles_invert_the_distribution(shape):
    k, sigma = torch.tensor([shape], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)
    x = generalized_pareto_quantiles(k, sigma, 9)[:, 0]
    survival = torch.exp(-x / 2) if shape == 0 else torch.exp(-torch.log1p(shape * x / 2) / shape)
    torch.testing.assert_close(1 - survival, (torch.arange(9).double() + 0.5) / 9, rtol=0, atol=1e-12)
