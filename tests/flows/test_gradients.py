"""Derivatives of every flow, in x, in its parameters and in the context."""

import math

import pytest
import torch

from tests.flows.catalogue import CASES, MADE, every_flow
from tests.flows.named.case import context, density, passes, point

LEARNING = [
    name for name, flow in MADE.items() if list(flow.parameters()) and math.prod(flow.event_shape) > 1
]


@every_flow
def test_derivatives_match_finite_differences(name):
    """Of y and of log det, both ways: along one direction in x, the context and the parameters."""
    flow = CASES[name].trained()
    c = context(flow, (2,))
    for pass_, shape, _ in passes(flow):
        x = point(flow, (2,), shape=shape)
        arguments = [x, *([] if c is None else [c]), *flow.parameters()]
        direction = [torch.randn_like(a) for a in arguments]
        for output in (0, 1):
            weights = torch.randn_like(pass_(x, c)[output])

            def value(output=output, weights=weights, f=pass_, x=x):
                return (f(x, c)[output] * weights).sum()

            expected = finite_difference(value, arguments, direction)
            torch.testing.assert_close(
                derivative(value, arguments, direction), expected, rtol=1e-5, atol=1e-6
            )


def finite_difference(value, arguments, direction, step=1e-6):
    with torch.no_grad():
        ends = []
        for h in (step, -2 * step, step):  # there, across, and back
            torch._foreach_add_(arguments, direction, alpha=h)
            ends.append(value())
    return (ends[0] - ends[1]) / (2 * step)


def derivative(value, arguments, direction):
    for argument in arguments:
        argument.requires_grad_()
    total = value() + 0 * sum(a.sum() for a in arguments)  # a constant log det too has a graph
    gradients = torch.autograd.grad(total, arguments, allow_unused=True, materialize_grads=True)
    for argument in arguments:
        argument.detach_().requires_grad_(isinstance(argument, torch.nn.Parameter))
    return sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))


@pytest.mark.parametrize("name", LEARNING)
def test_every_parameter_learns_from_data(name):
    """But those of one feature, whose autoregressive networks see nothing."""
    flow = CASES[name].trained()
    y, c = point(flow, (64,), shape=flow.event_shape), context(flow, (64,))
    density(flow, c).log_prob(y).mean().backward()
    still = [key for key, p in flow.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


@every_flow
def test_score_at_a_sample(name):
    """d log p(y) / dy at a detached sample, as Hamiltonian samplers and score matching need it."""
    flow = CASES[name].trained()
    p = density(flow, context(flow))
    y = p.sample((3,)).requires_grad_()
    (score,) = torch.autograd.grad(p.log_prob(y).sum(), y)
    again = y.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad(p.log_prob(again).sum(), again)
    torch.testing.assert_close(score, expected)
    assert score.isfinite().all()
    assert score.any()
