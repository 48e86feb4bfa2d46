"""The Bernoulli that makes fewer passes over memory is Pyro's."""

import pyro.distributions as dist
import pytest
import torch

from distributions import FusedBernoulli


def logits(dtype=torch.float64):
    """Ordinary ones and extreme ones."""
    extreme = torch.tensor([-800.0, -45.0, -39.0, 0.0, 39.0, 45.0, 800.0])
    return torch.cat([torch.linspace(-9, 9, 20), extreme]).to(dtype).requires_grad_()


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
def test_density_and_gradient_are_pyros(value):
    both = []
    for make in (FusedBernoulli, dist.Bernoulli):
        parameters = logits()
        x = torch.full_like(parameters, value).requires_grad_()
        log_p = make(logits=parameters, validate_args=False).log_prob(x)
        both.append([log_p, *torch.autograd.grad(log_p.square().sum(), [parameters, x])])
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)


def test_its_gradient_is_differentiated_again():
    x = torch.tensor([[0.0, 1.0, 1.0]], dtype=torch.float64)
    parameters = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda p: FusedBernoulli(logits=p, validate_args=False).log_prob(x), parameters
    )


def test_values_that_a_bernoulli_cannot_have_are_refused():
    with pytest.raises(ValueError, match="within the support"):
        FusedBernoulli(logits=torch.zeros(2), validate_args=True).log_prob(torch.tensor([0.5, 1.0]))
