"""Laws of the inverse of an autoregressive flow: exact, cheap, and differentiable."""

import pytest
import torch
from torch import nn

from flows import IAF
from flows.inversion.jacobi import jacobi
from flows.nn.made import MADE
from tests.flows.named.case import Case, context, point

FLOWS = {
    "vector": lambda **options: IAF(6, hidden=(16, 16), **options),
    "narrow": lambda **options: IAF(6, hidden=(3, 9), reverse=True, **options),
    "image": lambda **options: IAF((2, 3, 2), hidden=(8, 8), **options),
    "any order": lambda **options: IAF(5, net=MADE(5, 2, hidden=(9,), order=[3, 1, 4, 0, 2])),
}
every_flow = pytest.mark.parametrize("name", FLOWS)


class Any(nn.Module):
    """A network that has no way of its own to be inverted; counts its passes and samples."""

    def __init__(self, net):
        super().__init__()
        self.net, self.sizes = net, []

    def forward(self, x, context):
        self.sizes.append(len(x))
        return self.net(x, context)


def trained(name, seed=0, **options):
    return Case(lambda: FLOWS[name](**options), noise=0.3).trained(seed=seed)


def naive(flow, y, c=None):
    """D passes, whatever comes, with the graph of all of them."""
    x = y
    for _ in range(y[0].numel()):
        x, log_det = flow._step(x, y, c)
    return flow._step(x, y, c)[0], log_det


@every_flow
@pytest.mark.parametrize("with_context", [False, True], ids=["plain", "context"])
def test_all_ways_of_inverting_agree(name, with_context):
    options = {"context": 2} if with_context and name != "any order" else {}
    flow = trained(name, **options)
    y, c = 2 * point(flow, (4,)), context(flow, (4,))
    with torch.no_grad():
        expected = naive(flow, y, c)
        ours = flow.inverse_and_log_det(y, c)
        flow.net = Any(flow.net)
        by_jacobi = flow.inverse_and_log_det(y, c)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(by_jacobi, expected, rtol=0, atol=1e-10)


@every_flow
def test_derivatives_are_those_through_all_passes(name):
    """In y, parameters and context, of x and the log det together; by both searches."""
    options = {} if name == "any order" else {"context": 2}
    flow = trained(name, **options)
    y, c = point(flow, (3,)).requires_grad_(), context(flow, (3,))
    inputs = [y, *flow.parameters()] if c is None else [y, c.requires_grad_(), *flow.parameters()]
    weight = point(flow, (3,), seed=5)

    def gradients(solution):
        x, log_det = solution
        return torch.autograd.grad((weight * x.sin()).sum() + (log_det**2).sum(), inputs)

    expected = gradients(naive(flow, y, c))
    torch.testing.assert_close(gradients(flow.inverse_and_log_det(y, c)), expected, rtol=1e-9, atol=1e-9)
    flow.net = Any(flow.net)
    torch.testing.assert_close(gradients(flow.inverse_and_log_det(y, c)), expected, rtol=1e-9, atol=1e-9)


@every_flow
def test_inverse_passes_gradcheck(name):
    flow = trained(name)
    y = point(flow, (2,)).requires_grad_()
    assert torch.autograd.gradcheck(flow.inverse_and_log_det, y, fast_mode=True)


def test_second_derivatives_of_the_inverse_are_refused():
    flow = trained("vector")
    y = point(flow).requires_grad_()
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(flow.inverse_and_log_det(y)[1], y, create_graph=True)


@pytest.mark.parametrize("frozen", [False, True])
def test_nothing_is_paid_for_derivatives_that_nobody_asks_for(frozen):
    """A MADE solves without calling its forward; one call gives the derivatives."""
    flow = trained("vector").requires_grad_(not frozen)
    calls = []
    flow.net.register_forward_hook(lambda *_: calls.append(1))
    x, _ = flow.inverse_and_log_det(point(flow, (3,)))
    assert len(calls) == (0 if frozen else 1)
    assert x.requires_grad is not frozen


def test_passes_are_few_where_elements_hardly_interact_and_never_more_than_elements():
    y = torch.randn(5, 12, dtype=torch.float64)
    for noise, most in ((0.0, 1), (0.01, 6), (3.0, 12)):
        flow = Case(lambda: IAF(12, hidden=(16,)), noise=noise).trained()
        flow.net = Any(flow.net)
        with torch.no_grad():
            flow.inverse_and_log_det(y)
        assert len(flow.net.sizes) <= most + 1


def test_a_slow_sample_does_not_hold_up_the_others():
    """x_i = y_i - gain x_(i-1), a gain for each sample: with none the start is the solution."""
    sizes, gain = [], torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)[:, None]

    def step(x, y, gain):
        sizes.append(len(x))
        return y - gain * nn.functional.pad(x, (1, 0))[:, :-1]

    y = torch.randn(4, 7, dtype=torch.float64)
    x = jacobi(step, y, gain, event_dim=1)
    assert sizes == [4, *[1] * 6]
    torch.testing.assert_close(step(x, y, gain), x)


def test_elements_on_their_way_may_overflow():
    """x_i = y_i - 1e6 x_(i-1)^3: elements wait at up to 1e19 while those before them are still wrong."""
    largest = []

    def step(x, y, _):
        largest.append(x.abs().max().item())
        return y - 1e6 * nn.functional.pad(x, (1, 0))[:, :-1] ** 3

    y = torch.tensor([[1.0, 1e6, *[0.0] * 6]])
    x = jacobi(step, y, None, event_dim=1)
    assert max(largest) > 1e18
    assert torch.equal(x, torch.tensor([[1.0, *[0.0] * 7]]))


def test_a_broken_sample_leaves_the_others_alone():
    flow = trained("image")
    y = point(flow, (3,))
    expected, _ = flow.inverse_and_log_det(y)
    y[1] = torch.nan
    x, _ = flow.inverse_and_log_det(y)
    assert x[1].isnan().any()
    torch.testing.assert_close(x[[0, 2]], expected[[0, 2]], rtol=0, atol=1e-12)


@every_flow
def test_float32_comes_back(name):
    flow = trained(name).float()
    x = torch.randn(50, *flow.event_shape)
    with torch.no_grad():
        y, _ = flow.call_and_log_det(x)
        again, _ = flow.call_and_log_det(flow.inverse_and_log_det(y)[0])
    torch.testing.assert_close(again, y, rtol=1e-5, atol=1e-4)
