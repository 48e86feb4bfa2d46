"""Flows inside Pyro's and PyTorch's ordinary distributions, models and guides."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import nn

from distributions import TransformedDistribution, rsample_and_log_prob
from flows import AffineCoupling, Composed, Planar
from tests.flows.catalogue import CASES, every_flow, flows_of_each_class
from tests.flows.named.case import context, density, original, point


def counted(flow):
    """The flow, and a list that grows with every pass through it."""
    runs: list[object] = []
    for each in {flow, original(flow)}:
        for name in ("call_and_log_det", "inverse_and_log_det"):
            setattr(each, name, _counting(getattr(each, name), runs))
    return flow, runs


def _counting(run, runs):
    def counting(*args):
        runs.append(run)
        return run(*args)

    return counting


@every_flow
def test_a_guide_pays_for_one_pass(name):
    """A sample comes with its density."""
    flow, runs = counted(CASES[name].trained())
    q = density(flow, context(flow))
    _, log_prob = rsample_and_log_prob(q, (3,))
    assert len(runs) == 1
    assert log_prob.shape == (3,)


@every_flow
def test_a_density_pays_for_one_pass(name):
    flow, runs = counted(CASES[name].trained())
    p, y = density(flow, context(flow)), point(flow, (3,), shape=flow.event_shape)
    for expected in (1, 2):
        p.log_prob(y)
        assert len(runs) == expected


@every_flow
def test_density_that_comes_with_a_sample(name):
    """It is that of the same numbers from elsewhere."""
    flow = CASES[name].trained()
    q = density(flow, context(flow))
    y, log_prob = rsample_and_log_prob(q, (3,))
    torch.testing.assert_close(log_prob, q.log_prob(y), rtol=1e-8, atol=1e-7)


@flows_of_each_class
def test_expand_to_event_mask(name):
    flow = CASES[name].trained()
    p, y = density(flow, context(flow)), point(flow, (2, 3), shape=flow.event_shape)
    expected = p.log_prob(y)
    wide = p.expand((2, 3))
    assert wide.rsample().shape == y.shape
    torch.testing.assert_close(wide.log_prob(y), expected)
    torch.testing.assert_close(wide.to_event(1).log_prob(y), expected.sum(-1))
    mask = torch.tensor([True, False, True])
    torch.testing.assert_close(wide.mask(mask).log_prob(y), expected * mask)


@flows_of_each_class
@pytest.mark.parametrize("particles", [1, 3])
def test_guide_under_trace_elbo(name, particles):
    """Every parameter of a posterior gets a gradient from a vectorised ELBO over a plate."""
    flow = CASES[name].trained()
    q = density(flow, context(flow, (4,)))
    event_dim = len(flow.event_shape)

    def model():
        with pyro.plate("batch", 4):
            prior = dist.Normal(torch.zeros(flow.event_shape, dtype=torch.float64), 1.0)
            pyro.sample("z", prior.to_event(event_dim))

    def guide():
        with pyro.plate("batch", 4):
            pyro.sample("z", q)

    elbo = Trace_ELBO(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
    loss = elbo.differentiable_loss(model, guide)
    assert loss.isfinite()
    if list(flow.parameters()):
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in flow.parameters())


def couplings(context=None):
    return Composed([AffineCoupling(2, flip=flip, hidden=(16,), context=context) for flip in (False, True)])


def target():
    pyro.sample("z", dist.Normal(torch.tensor([2.0, -1.0]), 0.5).to_event(1))


@pytest.mark.parametrize("make", [couplings, lambda: Planar(2)], ids=["couplings", "planar"])
def test_classic_svi_lowers_the_loss(make):
    flow = make()

    def guide():
        pyro.module("flow", flow)
        pyro.sample("z", density(flow))

    svi = SVI(
        target, guide, pyro.optim.Adam({"lr": 0.02}), Trace_ELBO(num_particles=20, vectorize_particles=True)
    )
    losses = [svi.step() for _ in range(80)]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_prior_learns_under_trace_elbo():
    """A flow as the prior of a model whose guide samples what the flow has to score."""
    flow = couplings()

    def model():
        pyro.sample("z", density(flow))

    elbo, adam = (
        Trace_ELBO(num_particles=32, vectorize_particles=True),
        torch.optim.Adam(flow.parameters(), 0.02),
    )
    losses = []
    for _ in range(60):
        adam.zero_grad()
        loss = elbo.differentiable_loss(model, target)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_one_network_call_a_layer():
    """By hooks on the networks themselves: in a guide's step and for data."""
    layers, calls = [AffineCoupling(4, flip=bool(i % 2), hidden=(8,)) for i in range(3)], []
    for layer in layers:
        layer.net.register_forward_hook(lambda net, *_: calls.append(net))
    q = TransformedDistribution(dist.Normal(torch.zeros(4), 1.0).to_event(1), layers)
    rsample_and_log_prob(q, (5,))[1].sum().backward()
    assert len(calls) == 3
    q.log_prob(torch.randn(5, 4)).sum().backward()
    assert len(calls) == 6


def test_plain_torch_distribution():
    flow = couplings()
    base = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), 1.0), 1)
    p = torch.distributions.TransformedDistribution(base, [flow, torch.distributions.SigmoidTransform()])
    y = p.rsample((3,))
    torch.testing.assert_close(p.log_prob(y), p.log_prob(y.detach().clone()), rtol=1e-4, atol=1e-4)
    assert isinstance(nn.ModuleList(t for t in p.transforms if isinstance(t, nn.Module))[0], Composed)
