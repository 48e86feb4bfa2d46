"""Laws of the flows."""

import copy
import pickle

import pyro.distributions as dist
import pytest
import torch
from torch import nn

from flows import AffineCoupling

FLOWS = {
    "coupling of 2": lambda: AffineCoupling(2),
    "coupling of 5": lambda: AffineCoupling(5),
    "flipped coupling of 5": lambda: AffineCoupling(5, flip=True),
    "coupling without hidden layers": lambda: AffineCoupling(4, hidden=()),
}
SIZES = {
    "coupling of 2": 2,
    "coupling of 5": 5,
    "flipped coupling of 5": 5,
    "coupling without hidden layers": 4,
}

flows = pytest.mark.parametrize("name", FLOWS)
batches = pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)


def trained(name):
    """A flow that is far from the identity."""
    flow = FLOWS[name]().double()
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.7)
    return flow


def point(name, batch=()):
    return 2 * torch.randn(*batch, SIZES[name], dtype=torch.float64)


@flows
@batches
def test_inverse_undoes_call(name, batch):
    flow, x = trained(name), point(name, batch)
    y = flow._call(x)
    assert y.shape == x.shape
    torch.testing.assert_close(flow._inverse(y), x, rtol=0, atol=1e-9)


@flows
@batches
def test_call_undoes_inverse(name, batch):
    flow, y = trained(name), point(name, batch)
    torch.testing.assert_close(flow._call(flow._inverse(y)), y, rtol=0, atol=1e-9)
    torch.testing.assert_close(flow(flow.inv(y)), y, rtol=0, atol=1e-9)


@flows
@batches
def test_log_det_matches_autograd(name, batch):
    flow, x = trained(name), point(name, batch)
    log_det = flow.log_abs_det_jacobian(x, flow(x))
    assert log_det.shape == batch
    points = x.reshape(-1, SIZES[name])
    jacobians = torch.stack([torch.autograd.functional.jacobian(flow._call, p) for p in points])
    expected = torch.linalg.slogdet(jacobians).logabsdet.reshape(batch)
    torch.testing.assert_close(log_det, expected, rtol=0, atol=1e-8)


@flows
def test_a_fresh_flow_is_the_identity(name):
    flow, x = FLOWS[name]().double(), point(name, (3,))
    assert torch.equal(flow(x), x)


@flows
def test_transformed_density_integrates_to_one(name):
    """By importance sampling from a wider normal."""
    flow = trained(name)
    size = SIZES[name]
    one = torch.ones(size, dtype=torch.float64)
    p = dist.TransformedDistribution(dist.Normal(0 * one, one).to_event(1), [flow.inv])
    base = dist.Normal(0 * one, 2 * one).to_event(1)
    q = dist.TransformedDistribution(base, [flow.inv])
    with torch.no_grad():
        x = q.sample((20_000,))
        w = (p.log_prob(x) - q.log_prob(x)).exp()
    assert abs(w.mean() - 1) < 4 * w.std() / 20_000**0.5


@flows
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_a_copy_is_equal_and_separate(name, copied):
    flow, x = trained(name), point(name)
    same = copied(flow)
    expected = flow(x)
    assert torch.equal(same(x), expected)
    for parameter in flow.parameters():
        parameter.data.add_(1)
    assert torch.equal(same(x), expected)
    assert torch.equal(same.inv(same(x)), same.inv(expected))


@flows
def test_every_parameter_is_trained_by_the_density(name):
    flow, x = trained(name), point(name, (3,))
    y = flow(x)
    (y.square().sum() + flow.log_abs_det_jacobian(x, y).sum()).backward()
    assert all((p.grad != 0).any() for p in flow.parameters())


def test_stretching_is_bounded():
    flow = trained("coupling of 2")
    x = 1e6 * point("coupling of 2", (100,))
    assert flow.log_abs_det_jacobian(x, flow(x)).abs().max() <= 3


def test_flip_says_which_half_changes():
    x = point("coupling of 5", (3,))
    assert torch.equal(trained("coupling of 5")(x)[:, :2], x[:, :2])
    assert torch.equal(trained("flipped coupling of 5")(x)[:, 2:], x[:, 2:])


def test_a_coupling_of_one_feature_is_refused():
    with pytest.raises(ValueError, match="at least 2 features; got 1"):
        AffineCoupling(1)
