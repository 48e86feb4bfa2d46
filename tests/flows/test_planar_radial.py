"""Planar, radial flows and permutations beside Pyro's, at their limits, and their gradients."""

import pickle

import pytest
import torch
from pyro.distributions import transforms

from flows import Permutation, Planar, Radial
from flows.builders import planar
from flows.positive import positive
from tests.flows.catalogue import CASES
from tests.flows.named.case import context, point
from tests.flows.named.residual import CASES as OURS


def inverse_softplus(a):
    return torch.log(torch.expm1(a))


def unpacked(flow):
    """The parameters of a flow without context, constrained: w, u, b or x_0, alpha, rho."""
    own = flow._at(None, torch.zeros((), dtype=torch.float64))
    return [t.detach() for t in own if isinstance(t, torch.Tensor)]


def test_planar_equals_pyro():
    ours, theirs = CASES["planar"].trained(), transforms.Planar(4).double()
    w, u, b = unpacked(ours)
    dot = (w * u).sum()
    free = inverse_softplus(1 + dot)  # their u_hat = u + (softplus(w.u) - 1 - w.u) w / |w|^2 undone
    with torch.no_grad():
        theirs.w.copy_(w), theirs.bias.copy_(b), theirs.u.copy_(u + (free - dot) * w / (w**2).sum())
    assert_equal_to(theirs, ours)


def test_radial_equals_pyro():
    ours, theirs = CASES["radial"].trained(), transforms.Radial(4).double()
    center, alpha, rho = unpacked(ours)
    with torch.no_grad():
        theirs.x0.copy_(center)
        theirs.alpha_prime.copy_(inverse_softplus(alpha))
        theirs.beta_prime.copy_(inverse_softplus(alpha + alpha * rho))
    assert_equal_to(theirs, ours)


def assert_equal_to(theirs, ours):
    x = point(ours, (50,), scale=3.0)
    y, log_det = ours.call_and_log_det(x)
    expected = theirs(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(log_det, theirs.log_abs_det_jacobian(x, expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("make", [lambda: Planar(3), lambda: Radial(3)], ids=["planar", "radial"])
@pytest.mark.parametrize("size", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("seed", range(5))
def test_invertible_whatever_the_parameters(make, size, seed):
    """Slopes below are at least a thousandth by construction, so 1e-3 of accuracy goes to the worst."""
    torch.manual_seed(seed)
    flow = make().double()
    with torch.no_grad():
        flow.parameters_at.initial.copy_(size * torch.randn(flow.parameters_at.initial.shape))
    x = 5 * torch.randn(200, 3, dtype=torch.float64)
    y, log_det = flow.call_and_log_det(x)
    back, _ = flow.inverse_and_log_det(y)
    assert log_det.isfinite().all()
    reach = 1 + y.abs().amax(-1) + x.abs().amax(-1)
    lipschitz = torch.linalg.matrix_norm(_inverse_jacobian(flow, y), 2)
    error = (back - x).abs().amax(-1)
    assert (error <= 1e-13 * reach * lipschitz.clamp(min=1) * size**2).all()
    torch.testing.assert_close(flow.call_and_log_det(back)[0], y, rtol=1e-10, atol=1e-10)


def _inverse_jacobian(flow, y):
    return torch.vmap(torch.func.jacrev(lambda one: flow.inverse_and_log_det(one)[0]))(y.detach())


@pytest.mark.parametrize("name", OURS)
def test_far_points_stay_finite_and_come_back_in_single_precision(name):
    flow = CASES[name].trained(dtype=torch.float32)
    x, c = point(flow, (20,), scale=100.0), context(flow, (20,))
    y, log_det = flow.call_and_log_det(x, c)
    back, log_det_back = flow.inverse_and_log_det(y, c)
    assert log_det.isfinite().all()
    torch.testing.assert_close(back, x, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(log_det_back, -log_det, rtol=0, atol=1e-3)


@pytest.mark.parametrize("flow", [Planar(3), Radial(3), Planar((1, 2, 2), context=2), Radial(2, context=3)])
def test_fresh_flows_are_near_the_identity_and_every_parameter_trains(flow):
    x, c = point(flow, (100,)), context(flow, (100,))
    y, log_det = flow.call_and_log_det(x, c)
    assert (y - x).abs().max() < 0.5
    (y**2).sum().sub(log_det.sum()).backward()
    for parameter in flow.parameters():
        assert (parameter.grad.flatten(1) if parameter.dim() > 1 else parameter.grad).abs().gt(0).all()


def test_planar_at_w_zero_is_a_shift():
    flow = Planar(3).double()
    with torch.no_grad():
        flow.parameters_at.initial.copy_(torch.tensor([0.0, 0, 0, 1, 2, 3, 0.5]))
    x = point(flow, (4,))
    y, log_det = flow.call_and_log_det(x)
    shift = torch.tensor([1.0, 2, 3], dtype=torch.float64) * torch.tanh(torch.tensor(0.5).double())
    torch.testing.assert_close(y, x + shift)
    torch.testing.assert_close(log_det, torch.zeros(4, dtype=torch.float64))
    (y.sum() + log_det.sum()).backward()
    assert flow.parameters_at.initial.grad.isfinite().all()


def test_radial_at_its_center_has_finite_gradients():
    flow = Radial(3).double()
    center = flow.parameters_at.initial.detach()[:3].clone().requires_grad_()
    for pass_ in (flow.call_and_log_det, flow.inverse_and_log_det):
        value, log_det = pass_(center)
        torch.testing.assert_close(value, center)
        assert torch.autograd.grad(value.sum() + log_det, center)[0].isfinite().all()


def test_positive_is_one_at_zero_and_never_below_its_floor():
    a = torch.tensor([-1e4, -50.0, 0.0, 50.0])
    torch.testing.assert_close(positive(a)[2].item(), 1.0)
    assert (positive(a) >= 1e-3).all()
    assert (positive(a).diff() >= 0).all()


def test_layers_are_as_many_as_asked_for():
    assert len(planar(2, layers=5).flows) == 5


def test_permutation_travels_with_the_state():
    first, second = Permutation(6, seed=0), Permutation(6, seed=1)
    x = torch.randn(3, 6)
    assert not torch.equal(first(x), second(x))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))
    assert torch.equal(second.inv(second(x)), x)
    assert torch.equal(pickle.loads(pickle.dumps(first))(x), first(x))


def test_permutation_follows_its_seed_and_the_global_one():
    assert torch.equal(Permutation(20, seed=3).order, Permutation(20, seed=3).order)
    torch.manual_seed(0)
    assert not torch.equal(Permutation(20).order, Permutation(20).order)


def test_permutation_of_channels_keeps_pixels():
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(Permutation.reverse((3, 4, 5))(x), x.flip(1))


@pytest.mark.parametrize("order", [[0, 1], [0, 0, 1], [1, 2, 3], [[0, 1, 2]]])
def test_no_permutation_is_refused(order):
    with pytest.raises(ValueError, match=r"expected a permutation of 0 \.\.\. 2; got"):
        Permutation(3, order=order)
