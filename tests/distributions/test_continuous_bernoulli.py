"""The continuous Bernoulli, at logits where PyTorch's is no density any more as well."""

import numpy
import pyro.distributions as dist
import pytest
import torch
from torch.distributions import kl_divergence

from distributions import ContinuousBernoulli

LOGITS = [-200.0, -30.0, -5.0, -0.19, -1e-3, 0.0, 1e-9, 0.21, 3.0, 17.0, 80.0]


@pytest.fixture
def p():
    return ContinuousBernoulli(logits=torch.tensor(LOGITS, dtype=torch.float64).requires_grad_())


def integral(p, of=torch.ones_like):
    """The integral of p(x) of(x) over [0, 1], by Gauss-Legendre's rule on 64 intervals: exact here."""
    nodes, weights = map(torch.tensor, numpy.polynomial.legendre.leggauss(20))
    starts = torch.arange(64, dtype=torch.float64)[:, None]
    x = ((starts + (nodes + 1) / 2) / 64).flatten()[:, None]
    return (weights.repeat(64)[:, None] / 128 * p.log_prob(x).exp() * of(x)).sum(0)


def test_density_integrates_to_one_and_moments_are_its(p):
    torch.testing.assert_close(integral(p), torch.ones(len(LOGITS)).double(), rtol=1e-11, atol=0)
    torch.testing.assert_close(integral(p, lambda x: x), p.mean, rtol=1e-11, atol=0)
    second = integral(p, lambda x: (x - p.mean) ** 2)
    torch.testing.assert_close(second, p.variance, rtol=1e-8, atol=0)
    entropy = -integral(p, p.log_prob)
    torch.testing.assert_close(entropy, p.entropy(), rtol=1e-10, atol=1e-10)


def test_divergence_is_the_integral_of_the_log_ratio(p):
    q = ContinuousBernoulli(logits=p.logits.flip(0).detach())
    expected = integral(p, lambda x: p.log_prob(x) - q.log_prob(x))
    torch.testing.assert_close(kl_divergence(p, q), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_that_of_an_exponential_family(dtype):
    """d log p(x) / dl = x - mean, finite at every logit."""
    logits = torch.tensor([*LOGITS, -1e6, 1e6], dtype=dtype).requires_grad_()
    p, x = ContinuousBernoulli(logits=logits), torch.tensor(0.3, dtype=dtype)
    (gradient,) = torch.autograd.grad(p.log_prob(x).sum(), logits)
    torch.testing.assert_close(gradient, x - p.mean, rtol=0, atol=50 * torch.finfo(dtype).eps)


def test_it_is_pyros_where_that_is_a_density():
    logits = torch.linspace(-6, 6, 25, dtype=torch.float64)
    ours, pyros = ContinuousBernoulli(logits=logits), dist.ContinuousBernoulli(logits=logits)
    x = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    for method in ("log_prob", "cdf", "icdf"):
        torch.testing.assert_close(getattr(ours, method)(x), getattr(pyros, method)(x), rtol=1e-6, atol=1e-6)
    for name in ("mean", "variance"):
        torch.testing.assert_close(getattr(ours, name), getattr(pyros, name), rtol=1e-5, atol=0)
    torch.testing.assert_close(ours._cont_bern_log_norm(), pyros._cont_bern_log_norm(), rtol=1e-6, atol=0)


def test_quantiles_undo_the_distribution_function(p):
    u = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)[:, None]
    x = p.icdf(u)
    torch.testing.assert_close(p.cdf(x), u.expand_as(x), rtol=0, atol=1e-6)
    assert ((x >= 0) & (x <= 1)).all()


def test_draws_are_differentiable_in_the_logits(p):
    """dx/dl = - (dF/dl) / p, the implicit derivative."""
    u = torch.full((), 0.37, dtype=torch.float64)
    x = p.draw(u)
    (found,) = torch.autograd.grad(x.sum(), p.logits)
    step, at = 1e-4, p.logits.detach()
    above, below = (ContinuousBernoulli(logits=at + s).icdf(u) for s in (step, -step))
    torch.testing.assert_close(found, (above - below) / (2 * step), rtol=1e-3, atol=1e-5)
