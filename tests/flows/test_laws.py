"""Laws of every flow: it is invertible and knows its Jacobian."""

import pytest
import torch

from tests.flows.catalogue import CASES
from tests.flows.named.case import context, point

flows = pytest.mark.parametrize("name", CASES)
batches = pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)


@flows
@batches
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_inverse_undoes_call(name, batch, scale):
    flow = CASES[name].trained()
    x, c = point(flow, batch, scale=scale), context(flow, batch)
    with torch.no_grad():
        y, log_det = flow.call_and_log_det(x, c)
        back, log_det_back = flow.inverse_and_log_det(y, c)
    assert y.shape == flow.forward_shape(x.shape)
    assert log_det.shape == log_det_back.shape == batch
    atol = CASES[name].atol
    torch.testing.assert_close(back, x, rtol=0, atol=atol)
    torch.testing.assert_close(log_det_back, -log_det, rtol=0, atol=10 * atol)


@flows
@batches
def test_call_undoes_inverse(name, batch):
    flow = CASES[name].trained()
    y, c = point(flow, batch, shape=flow.event_shape), context(flow, batch)
    with torch.no_grad():
        x, _ = flow.inverse_and_log_det(y, c)
        again, _ = flow.call_and_log_det(x, c)
    assert x.shape == flow.inverse_shape(y.shape)
    torch.testing.assert_close(again, y, rtol=0, atol=CASES[name].atol)


@flows
def test_log_det_matches_autograd(name):
    """In both directions, by the whole Jacobian."""
    flow = CASES[name].trained()
    c = context(flow)
    for pass_, shape in (
        (flow.call_and_log_det, flow.in_shape),
        (flow.inverse_and_log_det, flow.event_shape),
    ):
        x = point(flow, shape=shape)
        jacobian = torch.autograd.functional.jacobian(lambda t, f=pass_: f(t, c)[0].flatten(), x)
        expected = torch.linalg.slogdet(jacobian.flatten(1)).logabsdet
        torch.testing.assert_close(pass_(x, c)[1], expected, rtol=0, atol=1e-8)
