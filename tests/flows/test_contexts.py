"""Conditional flows."""

import torch

from tests.flows.catalogue import CASES, conditional_flows
from tests.flows.named.case import context, density, passes, point


@conditional_flows
def test_batch_of_contexts_equals_a_loop(name):
    flow = CASES[name].trained()
    c = context(flow, (4,))
    for pass_, shape, _ in passes(flow):
        x = point(flow, (4,), shape=shape)
        together = pass_(x, c)
        alone = [pass_(xi, ci) for xi, ci in zip(x, c, strict=True)]
        for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
            torch.testing.assert_close(whole, torch.stack(parts), rtol=0, atol=CASES[name].atol)


@conditional_flows
def test_one_context_serves_a_batch_and_one_x_several_contexts(name):
    flow = CASES[name].trained()
    x, c = point(flow, (3, 1)), context(flow, (2,))
    y, log_det = flow.call_and_log_det(x, c)
    assert y.shape == (3, 2, *flow.event_shape)
    assert log_det.shape == (3, 2)
    expected, expected_log_det = flow.call_and_log_det(x[1, 0], c[1])
    torch.testing.assert_close(y[1, 1], expected)
    torch.testing.assert_close(log_det[1, 1], expected_log_det)


@conditional_flows
def test_contexts_matter(name):
    flow = CASES[name].trained()
    c = context(flow, (2,))
    y, _ = flow.call_and_log_det(point(flow).expand(2, *flow.in_shape), c)
    assert not torch.allclose(y[0], y[1], rtol=0, atol=1e-6)


@conditional_flows
def test_samples_have_the_batch_of_the_contexts(name):
    flow = CASES[name].trained()
    p = density(flow, context(flow, (7,)))
    assert p.batch_shape == (7,)
    y = p.sample((5,))
    assert y.shape == (5, 7, *flow.event_shape)
    assert p.log_prob(y).shape == (5, 7)
