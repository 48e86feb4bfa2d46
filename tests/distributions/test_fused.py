"""Densities of whole events in few passes are those of the distributions, and so are their gradients."""

import pyro.distributions as dist
import pytest
import torch

from distributions import FusedBernoulli, PrecisionWeightedNormal, ResidualNormal
from distributions.fused import fused_log_prob
from distributions.transformed import scored_draw
from tests.contracts import assert_equal_up_to_rounding, seeded


def normal(a, b):
    return dist.Normal(a, b.exp(), validate_args=False)


def residual(a, b):
    return ResidualNormal(normal(b, a), a, b, validate_args=False)


def merged(a, b):
    return PrecisionWeightedNormal(normal(a, b), normal(b, a), validate_args=False)


def bernoulli(a, b):
    return FusedBernoulli(logits=3 * a + b, validate_args=False)


def laplace(a, b):
    return dist.Laplace(a, b.exp(), validate_args=False)


NORMALS = [normal, residual, merged]
ALL = [*NORMALS, bernoulli, laplace]


def parameters(shape=(4, 3, 2), other=(3, 2)):
    """Of two shapes, which broadcast."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in (shape, other)]


@pytest.mark.parametrize("event_dim", [0, 1, 2])
@pytest.mark.parametrize("build", ALL, ids=lambda b: b.__name__)
def test_density_and_gradients_are_the_distributions_own(build, event_dim):
    both = []
    for log_prob in (fused_log_prob, lambda p, x: p.log_prob(x)):
        a, b = parameters()
        x = torch.full((5, 1, 1, 2), 0.5, dtype=torch.float64).requires_grad_()
        log_p = log_prob(build(a, b).to_event(event_dim), x)
        both.append([log_p, *torch.autograd.grad(log_p.square().sum(), [a, b, x])])
    assert_equal_up_to_rounding(*both, operations=60, scale=1e3)


@pytest.mark.parametrize("build", [normal, bernoulli], ids=lambda b: b.__name__)
def test_gradients_are_differentiated_again(build):
    x = torch.full((2, 3, 2), 0.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda a, b, x: fused_log_prob(build(a, b).to_event(1), x), (*parameters((2, 3, 2)), x)
    )


@pytest.mark.parametrize("build", [normal, bernoulli], ids=lambda b: b.__name__)
def test_functional_transforms_see_through_it(build):
    a, b = parameters((4, 3, 2), (4, 3, 2))

    def log_prob(a, b):
        return fused_log_prob(build(a, b).to_event(1), torch.full((2,), 0.5, dtype=a.dtype)).sum()

    mapped = torch.vmap(torch.func.grad(log_prob), in_dims=(1, 0))(a.transpose(0, 1), b)
    torch.testing.assert_close(mapped, torch.autograd.grad(log_prob(a, b), a)[0])


def test_validated_values_are_vmapped():
    p = FusedBernoulli(torch.tensor([0.25, 0.5]), validate_args=True)
    torch.testing.assert_close(torch.vmap(p.log_prob)(torch.eye(2)), p.log_prob(torch.eye(2)))


@pytest.mark.parametrize("build", NORMALS, ids=lambda b: b.__name__)
def test_a_draw_is_pyros_and_its_density_has_the_total_derivative(build):
    a, b = parameters()
    drawn = seeded(scored_draw, build(a, b).to_event(1), (6,))
    q = build(a, b).to_event(1)
    z = seeded(q.rsample, (6,))
    assert torch.equal(drawn.value, z)
    both = [
        [log_q, *torch.autograd.grad(log_q.sum(), [a, b], allow_unused=True)]
        for log_q in (drawn.log_prob(), q.log_prob(z))
    ]
    assert_equal_up_to_rounding(*both, operations=60, scale=1e3)


@pytest.mark.parametrize(
    ("distribution", "value"),
    [(dist.Normal(0.0, torch.ones(2)), float("nan")), (FusedBernoulli(torch.ones(2)), 0.5)],
)
def test_values_outside_the_support_are_refused(distribution, value):
    distribution._validate_args = True
    with pytest.raises(ValueError, match="within the support"):
        fused_log_prob(distribution.to_event(1), torch.full((2,), value))


def test_other_draws_are_left_to_their_distributions():
    assert scored_draw(dist.Laplace(0.0, 1.0)) is None
    assert scored_draw(dist.Bernoulli(0.5)) is None
