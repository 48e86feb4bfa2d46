"""A density is that of the parameters, of the state and of the value as they are when it is asked for."""

import copy
import gc
import weakref

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from distributions import TransformedDistribution, rsample_and_log_prob
from flows import AffineCoupling, Composed, Logit, transformed
from zoo.parts.priors import StandardNormal


class Net(torch.nn.Module):
    """A network with dropout, and with state that is no registered tensor."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 4)
        self.dropout = torch.nn.Dropout(0.5)
        self.factor, self.tensors = 1.0, [torch.ones(4, dtype=torch.float64)]

    def forward(self, x, context):
        torch.manual_seed(0)  # the same mask at every call in training
        return self.dropout(self.linear(x)) * self.factor * self.tensors[0]


@pytest.fixture
def flow():
    flow = Composed([AffineCoupling(4, flip=flip, net=Net()) for flip in (False, True)]).double()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return flow


def ours(flow):
    return TransformedDistribution(normal(), [flow])


def pyros(flow):
    return dist.TransformedDistribution(normal(), [flow])


def parts(flow):
    return transformed(StandardNormal(4).double(), flow)()


def normal():
    return dist.Normal(torch.zeros(4, dtype=torch.float64), 1.0).to_event(1)


every_distribution = pytest.mark.parametrize("make", [ours, pyros, parts])


def nets(flow):
    return [coupling.net for coupling in flow.flows]


def fused(optimiser):
    def step(flow):
        optimiser(flow.parameters(), lr=0.1, fused=True).step()

    return step


def vector(flow):
    with torch.no_grad():
        vector_to_parameters(parameters_to_vector(flow.parameters()) + 0.1, flow.parameters())


def data(flow):
    for parameter in flow.parameters():
        parameter.data.add_(0.1)


def by_hand(flow):
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1)


def childs_mode(flow):
    for net in nets(flow):
        net.dropout.eval()


def attribute(flow):
    for net in nets(flow):
        net.factor = 2.0


def unregistered(flow):
    for net in nets(flow):
        net.tensors[0].mul_(2)


UPDATES = {
    "fused Adam": fused(torch.optim.Adam),
    "fused SGD": fused(torch.optim.SGD),
    "vector_to_parameters": vector,
    "data": data,
    "in place": by_hand,
    "mode of a child": childs_mode,
    "attribute": attribute,
    "unregistered tensor": unregistered,
}


@every_distribution
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_updates(flow, make, grad, update):
    """A sample and a data set, scored before and after an update that bumps no version of a tensor."""
    p, x = make(flow), torch.randn(3, 4, dtype=torch.float64)
    with torch.set_grad_enabled(grad):
        y = p.rsample((3,))
        before = p.log_prob(x), p.log_prob(y)
    (p.log_prob(x).sum() + p.log_prob(p.rsample((3,))).sum()).backward()
    update(flow)
    with torch.set_grad_enabled(grad):
        for value, old in zip((x, y), before, strict=True):
            expected = make(copy.deepcopy(flow)).log_prob(value.detach().clone())
            torch.testing.assert_close(p.log_prob(value), expected, rtol=0, atol=1e-9)
            assert not torch.allclose(expected, old, rtol=0, atol=1e-3)


@every_distribution
def test_values_that_change_behind_a_tensor(flow, make):
    """The buffer is NumPy's."""
    array = np.random.default_rng(0).normal(size=(3, 4))
    p, y = make(flow), torch.from_numpy(array)
    p.log_prob(y)
    x = flow.inv(y)
    array += 1
    torch.testing.assert_close(p.log_prob(y), p.log_prob(torch.tensor(array)), rtol=0, atol=1e-9)
    assert not torch.allclose(flow.inv(y), x, rtol=0, atol=1e-3)


@every_distribution
def test_gradient_at_a_sample(flow, make):
    """D log p(y) / dy of a sample with its graph is that of its numbers."""
    p = make(flow)
    y = p.rsample((3,))
    again = y.detach().clone().requires_grad_()
    (score,) = torch.autograd.grad(p.log_prob(y).sum(), y)
    (expected,) = torch.autograd.grad(p.log_prob(again).sum(), again)
    torch.testing.assert_close(score, expected)
    assert score.any()


@every_distribution
def test_total_gradient_of_a_sample_and_its_density(flow, make):
    """By one pass forwards, as by drawing and scoring: d/dtheta of log p(y(theta); theta) + |y|^2."""
    p, gradients = make(flow), []
    for draw in (rsample_and_log_prob, lambda p, shape: (y := p.rsample(shape), p.log_prob(y))):
        torch.manual_seed(1)
        for net in nets(flow):
            net.eval()  # `Net` seeds its dropout, and so the noise
        y, log_prob = draw(p, (3,))
        gradients.append(torch.autograd.grad((log_prob + y.square().sum(-1)).sum(), list(flow.parameters())))
    torch.testing.assert_close(gradients[0], gradients[1])


@every_distribution
def test_parameters_given_by_functional_call(flow, make):
    class Scored(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.flow = flow

        def forward(self, y):
            return make(self.flow).log_prob(y)

    scored = Scored()
    y = make(flow).rsample((3,))
    others = {name: torch.randn_like(p) for name, p in scored.named_parameters()}
    expected = functional_call(scored, others, (y.detach().clone(),))
    torch.testing.assert_close(functional_call(scored, others, (y,)), expected)


def test_second_backward_over_the_same_data(flow):
    p, x = ours(flow), torch.randn(3, 4, dtype=torch.float64)
    for _ in range(2):
        p.log_prob(x).sum().backward()


def test_inference_mode():
    flow = AffineCoupling(4, hidden=(8,), context=2)
    torch.nn.init.normal_(flow.net.layers[-1].weight)
    with torch.inference_mode():
        p = TransformedDistribution(
            dist.Normal(torch.zeros(4), 1.0).to_event(1), [flow.condition(torch.randn(3, 2))]
        )
        y, log_prob = rsample_and_log_prob(p)
        torch.testing.assert_close(log_prob, p.log_prob(y))


def test_nothing_outlives_a_step(flow):
    """Graphs are freed with the values, without the garbage collector."""
    p, x, alive = ours(flow), torch.randn(3, 4, dtype=torch.float64), weakref.WeakSet()
    gc.disable()
    try:
        for _ in range(30):
            y, log_prob = rsample_and_log_prob(p, (3,))
            alive.update((y, log_prob, flow.inv(x), p.log_prob(y), p.log_prob(x)))
            alive.add(p.rsample((2,)))
        del y, log_prob
        assert not len(alive)
    finally:
        gc.enable()


@every_distribution
def test_a_map_applied_twice_is_not_undone(flow, make):
    x = make(flow).sample((3,))
    for map_ in (flow, flow.inv):
        once = map_(x)
        twice = map_(once)
        assert not torch.allclose(twice, x, rtol=0, atol=1e-3)
        torch.testing.assert_close(map_.inv(map_.inv(twice)), x, rtol=0, atol=1e-9)


def test_with_a_cache_nothing_is_remembered_either(flow):
    """PyTorch's protocol asks any transform for a copy with a cache, `ComposeTransform` its parts."""
    both = dist.transforms.ComposeTransform([flow.with_cache(), flow.inv]).with_cache(1)
    x = normal().sample((3,))
    torch.testing.assert_close(both(x), x)
    before = flow.with_cache()(x)
    torch.nn.init.normal_(next(flow.parameters()))
    assert not torch.equal(flow.with_cache()(x), before)


def mixed_events():
    """A base of fewer event dimensions than the flow takes, one of more, and a change of scale between."""
    plain = dist.Normal(torch.zeros(2, 4, dtype=torch.float64), 1.0)
    yield TransformedDistribution(plain, [AffineCoupling(4, hidden=(3,)).double()])
    yield TransformedDistribution(plain.to_event(2), [AffineCoupling(4, hidden=(3,)).double()])
    inner = TransformedDistribution(plain.to_event(1), [Logit(4, alpha=0.05).double()])
    yield TransformedDistribution(inner, [dist.transforms.AffineTransform(1.0, 2.0)]).to_event(1)
    yield inner.expand((3, 2))
    yield dist.Gamma(torch.ones(3, dtype=torch.float64), 1.0).to_event(1)


@pytest.mark.parametrize("p", list(mixed_events()))
def test_a_sample_with_its_density_has_the_shapes_of_both(p):
    y, log_prob = rsample_and_log_prob(p, (5,))
    assert y.shape == p.shape((5,))
    assert log_prob.shape == (5, *p.batch_shape)
    torch.testing.assert_close(log_prob, p.log_prob(y), rtol=0, atol=1e-9)
