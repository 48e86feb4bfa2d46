"""What a value remembers of the pass that made it is used only while it is true."""

import copy
import gc
import pickle
import threading
import weakref

import pyro.distributions as dist
import pytest
import torch
from torch.func import functional_call

from flows import AffineCoupling, Composed
from tests.flows.named.case import density


@pytest.fixture
def flow():
    flow = Composed([AffineCoupling(4, flip=flip, hidden=(8,)) for flip in (False, True)]).double()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return flow


def assert_true(p, y):
    """The density of y is that of its numbers."""
    torch.testing.assert_close(p.log_prob(y), p.log_prob(y.detach().clone()), rtol=1e-9, atol=1e-9)


def sgd(flow):
    return torch.optim.SGD(flow.parameters(), lr=0.1)


def adam(flow):
    return torch.optim.Adam(flow.parameters(), lr=0.1, foreach=True)


class ByHand:
    """An edit in place."""

    def __init__(self, flow):
        self.flow = flow

    @torch.no_grad()
    def step(self):
        for parameter in self.flow.parameters():
            parameter.add_(0.1)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("optimiser", [sgd, adam, ByHand])
def test_parameters_that_change(flow, grad, optimiser):
    """A sample and a data set scored before and after an update."""
    p, data = density(flow), torch.randn(3, 4, dtype=torch.float64)
    with torch.set_grad_enabled(grad):
        y = p.rsample((3,))
        p.log_prob(data)
    p.log_prob(data).sum().backward()
    optimiser(flow).step()
    with torch.set_grad_enabled(grad):
        assert_true(p, y)
        assert_true(p, data)


@pytest.mark.parametrize("edit", [torch.optim.Adam, torch.optim.SGD])
def test_data_scored_after_a_fused_update(flow, edit):
    """PyTorch does not count what a fused optimiser does; what is not remembered cannot be stale."""
    p, data = density(flow), torch.randn(3, 4, dtype=torch.float64)
    y = p.rsample((3,))
    (p.log_prob(data) + p.log_prob(y)).sum().backward()
    edit(flow.parameters(), lr=0.1, fused=True).step()
    for parameter in flow.parameters():
        parameter.data += 0.1
    assert_true(p, data)
    assert_true(p, y)


def test_values_that_change(flow):
    p = density(flow)
    with torch.no_grad():
        y = p.sample((3,))
        y.mul_(2)
        assert_true(p, y)
        x = p.base_dist.sample((3,))
        y = flow(x)
        x.zero_()
        assert flow.inv(y).any()


def test_gradients_switched_on(flow):
    p = density(flow)
    flow.requires_grad_(False)
    y = p.rsample((3,)).requires_grad_()
    assert torch.autograd.grad(p.log_prob(y).sum(), y)[0].any()
    y = p.rsample((3,))
    flow.requires_grad_(True)
    assert p.log_prob(y).requires_grad
    assert p.log_prob(p.sample()).requires_grad


def test_second_backward_over_the_same_data(flow):
    p, data = density(flow), torch.randn(3, 4, dtype=torch.float64)
    for _ in range(2):
        p.log_prob(data).sum().backward()
    y = p.sample((3,))
    for _ in range(2):
        p.log_prob(y).sum().backward()


def test_two_flows_and_two_distributions_on_one_value(flow):
    other = copy.deepcopy(flow)
    with torch.no_grad():
        next(other.parameters()).add_(1.0)
    p, q = density(flow), density(other)
    y = p.rsample((3,))
    wide = dist.TransformedDistribution(dist.Normal(torch.zeros(4).double(), 2.0).to_event(1), [flow])
    for distribution in (q, wide, p, q):
        assert_true(distribution, y)


def test_parameters_given_by_functional_call(flow):
    class Scored(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.flow = flow

        def forward(self, y):
            return density(self.flow).log_prob(y)

    scored = Scored()
    y = density(flow).rsample((3,))
    others = {name: torch.randn_like(p) for name, p in scored.named_parameters()}
    expected = functional_call(scored, others, (y.detach().clone(),))
    torch.testing.assert_close(functional_call(scored, others, (y,)), expected)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda y: pickle.loads(pickle.dumps(y))])
def test_copies_of_values(flow, copied):
    p = density(flow)
    with torch.no_grad():
        y = copied(p.sample((3,)))
        y += 1
        assert_true(p, y)


def test_inference_mode():
    flow = AffineCoupling(4, hidden=(8,), context=2)
    torch.nn.init.normal_(flow.net.layers[-1].weight)
    with torch.inference_mode():
        p = density(flow, torch.randn(3, 2))
        torch.testing.assert_close(p.log_prob(y := p.sample()), p.log_prob(y.clone()))


def test_threads_do_not_meet(flow):
    p, wrong = density(flow), []

    def work():
        for _ in range(20):
            try:
                assert_true(p, p.rsample((3,)))
            except AssertionError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_outlives_a_step(flow):
    """Graphs are freed with the values, without the garbage collector."""
    p, data, alive = density(flow), torch.randn(3, 4, dtype=torch.float64), weakref.WeakSet()
    gc.disable()
    try:
        for _ in range(300):
            y = p.rsample((3,))
            x = flow.inv(data)
            alive.update((y, x, p.log_prob(y), p.log_prob(data)))
            alive.add(p.rsample((2,)))
        del x, y
        assert not len(alive)
    finally:
        gc.enable()


@pytest.mark.parametrize("remembered", [True, False])
def test_a_map_applied_twice_is_not_undone(flow, remembered):
    """A receipt knows its direction: what a call made, another call takes further, and so the inverse."""
    x = torch.randn(3, 4, dtype=torch.float64)
    for map_ in (flow, flow.inv):
        once = map_(x)
        twice = map_(once if remembered else once.clone())
        torch.testing.assert_close(twice, map_(map_(x).clone()), rtol=0, atol=0)
        assert not torch.allclose(twice, x, rtol=0, atol=1e-3)
        torch.testing.assert_close(
            map_.log_abs_det_jacobian(once, twice), map_.call_and_log_det(once)[1], rtol=1e-9, atol=1e-9
        )
        torch.testing.assert_close(map_.inv(map_.inv(twice)), x, rtol=0, atol=1e-9)


class Doubling(torch.nn.Module):
    """A network that is another one in training, as one with dropout."""

    def forward(self, x, context):
        return torch.cat([x, x], -1) * (1 + self.training)


@pytest.mark.parametrize("context", [None, torch.zeros(3, 1, dtype=torch.float64)], ids=["without", "with"])
def test_a_mode_that_changes(context):
    flow = AffineCoupling(4, net=Doubling(), context=None if context is None else 1)
    base = dist.Normal(torch.zeros(4, dtype=torch.float64), 1.0).to_event(1)
    p = dist.TransformedDistribution(base, [flow if context is None else flow.condition(context)])
    y = p.rsample((3,))
    flow.eval()
    assert_true(p, y)
    y = p.rsample((3,))
    flow.train()
    assert_true(p, y)
