"""Laws of every flow: it is invertible, knows its Jacobian and takes any batch."""

import torch

from tests.flows.catalogue import BATCHES, CASES, every_flow, flows_of_each_class
from tests.flows.named.case import at, context, passes, point

SCALES = (1.0, 5.0, 1.0)  # of the points of each batch


@every_flow
def test_inverse_undoes_call(name):
    flow, atol = CASES[name].trained(), CASES[name].atol
    for batch, scale in zip(BATCHES, SCALES, strict=True):
        x, c = point(flow, batch, scale=scale), context(flow, batch)
        with torch.no_grad():
            y, log_det = flow.call_and_log_det(x, c)
            back, log_det_back = flow.inverse_and_log_det(y, c)
        assert y.shape == flow.forward_shape(x.shape)
        assert log_det.shape == log_det_back.shape == batch
        torch.testing.assert_close(back, x, rtol=0, atol=atol)
        torch.testing.assert_close(log_det_back, -log_det, rtol=0, atol=10 * atol)


@every_flow
def test_call_undoes_inverse(name):
    flow, atol = CASES[name].trained(), CASES[name].atol
    for batch, scale in zip(BATCHES, SCALES, strict=True):
        y, c = point(flow, batch, scale=scale, shape=flow.event_shape), context(flow, batch)
        with torch.no_grad():
            x, log_det = flow.inverse_and_log_det(y, c)
            again, log_det_again = flow.call_and_log_det(x, c)
        assert x.shape == flow.inverse_shape(y.shape)
        assert log_det.shape == log_det_again.shape == batch
        torch.testing.assert_close(again, y, rtol=0, atol=atol)


@flows_of_each_class
def test_an_empty_batch_stays_empty(name):
    """And, in training, sets no parameters."""
    flow = CASES[name].make().double().train()
    for run, shape, other in passes(flow):
        value, log_det = run(point(flow, (0,), shape=shape), context(flow, (0,)))
        assert value.shape == (0, *other)
        assert log_det.shape == (0,)
    assert all(parameter.isfinite().all() for parameter in flow.parameters())


@every_flow
def test_float32_round_trips(name):
    flow = CASES[name].trained(dtype=torch.float32)
    c = context(flow, (16,))
    for (there, shape, _), (back, _, _) in (passes(flow), passes(flow)[::-1]):
        x = point(flow, (16,), shape=shape).float()
        with torch.no_grad():
            y, log_det = there(x, c)
            again, log_det_back = back(y, c)
        assert y.dtype == log_det.dtype == again.dtype == torch.float32
        torch.testing.assert_close(again, x, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(log_det_back, -log_det, rtol=1e-4, atol=1e-3)


@every_flow
def test_log_det_matches_autograd(name):
    """In both directions, by the whole Jacobian."""
    flow = CASES[name].trained()
    c = context(flow)
    for pass_, shape, _ in passes(flow):
        x = point(flow, shape=shape)
        jacobian = torch.autograd.functional.jacobian(lambda t, f=pass_: f(t, c)[0].flatten(), x)
        expected = torch.linalg.slogdet(jacobian.flatten(1)).logabsdet
        torch.testing.assert_close(pass_(x, c)[1], expected, rtol=0, atol=1e-8)


@every_flow
def test_far_points_are_finite(name):
    """Values, log dets and gradients at |x_i| = 100, or as far as the case goes; float64 reaches further."""
    flow = CASES[name].trained(dtype=torch.float32)
    c = context(flow, (4,))
    for pass_, shape, _ in passes(flow):
        x = (CASES[name].reach * point(flow, (4,), shape=shape).sign()).requires_grad_()
        y, log_det = pass_(x, c)
        gradients = torch.autograd.grad(y.sum() + log_det.sum(), [x, *flow.parameters()], allow_unused=True)
        for value in (y, log_det, *gradients):
            assert value is None or value.isfinite().all()


@every_flow
def test_transform_protocol_agrees_with_one_pass(name):
    """`flow(x)`, `flow.inv(y)` and `log_abs_det_jacobian`."""
    flow = CASES[name].trained()
    for batch in BATCHES[::2]:
        x, c = point(flow, batch), context(flow, batch)
        transform = at(flow, c)
        expected, log_det = flow.call_and_log_det(x, c)
        y = transform(x)
        torch.testing.assert_close(y, expected, rtol=0, atol=0)
        torch.testing.assert_close(transform.log_abs_det_jacobian(x, y), log_det, rtol=0, atol=1e-8)
        torch.testing.assert_close(transform.inv(y), x, rtol=0, atol=CASES[name].atol)
        torch.testing.assert_close(transform.inv.log_abs_det_jacobian(y, x), -log_det, rtol=0, atol=1e-8)


@every_flow
def test_shapes_are_told_without_running(name):
    flow = CASES[name].trained()
    transform = at(flow, context(flow))
    assert transform.domain.event_dim == len(flow.in_shape)
    assert transform.codomain.event_dim == len(flow.event_shape)
    assert transform.forward_shape((7, 2, *flow.in_shape)) == (7, 2, *flow.event_shape)
    assert transform.inverse_shape((7, 2, *flow.event_shape)) == (7, 2, *flow.in_shape)
    assert transform.inv.domain.event_dim == len(flow.event_shape)


@flows_of_each_class
def test_runs_on_the_meta_device(name):
    """Nothing is left behind by `.to`: in the direction that is written down, not searched for."""
    flow = CASES[name].trained().to("meta")
    c = context(flow, (3,))
    pass_, shape, to = passes(flow)[CASES[name].compiles]
    y, log_det = pass_(point(flow, (3,), shape=shape).to("meta"), None if c is None else c.to("meta"))
    assert y.device.type == log_det.device.type == "meta"
    assert y.shape == (3, *to)
    assert log_det.shape == (3,)
