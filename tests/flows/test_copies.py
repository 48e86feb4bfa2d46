"""A flow that has been used is as light and as portable as a new one."""

import copy
import io
import pickle

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tests.flows.catalogue import CASES, every_flow, flows_of_each_class
from tests.flows.named.case import context, density, original, point


def used(flow, batch=(3,)):
    """The flow after a training step's worth of calls."""
    p = density(flow, context(flow, batch))
    y = p.rsample()
    (p.log_prob(y) + p.log_prob(point(flow, batch, shape=flow.event_shape))).sum()
    return flow


@flows_of_each_class
def test_copies_after_use(name):
    flow = used(CASES[name].trained())
    y, c = point(flow, (3,), shape=flow.event_shape), context(flow, (3,))
    expected = density(flow, c).log_prob(y)
    for again in (copy.deepcopy(flow), pickle.loads(pickle.dumps(flow))):
        assert not {id(p) for p in flow.parameters()} & {id(p) for p in again.parameters()}
        torch.testing.assert_close(density(again, c).log_prob(y), expected, rtol=0, atol=0)


@flows_of_each_class
def test_size_does_not_grow_with_use(name):
    flow = CASES[name].trained()
    new = len(pickle.dumps(flow))
    assert len(pickle.dumps(used(flow, (200,)))) == new


@every_flow
def test_state_restores_the_density_of_another_seed(name):
    """Permutations and masks drawn at random are part of the state."""
    flow = used(CASES[name].trained())
    torch.manual_seed(1)
    other = CASES[name].trained(seed=1)
    other.load_state_dict(pickle.loads(pickle.dumps(flow.state_dict())))
    y, c = point(flow, (3,), shape=flow.event_shape), context(flow, (3,))
    torch.testing.assert_close(density(other, c).log_prob(y), density(flow, c).log_prob(y), rtol=0, atol=0)


def averaged(flow, train):
    """The average of a flow that was made before the flow was used."""
    average = AveragedModel(flow)
    train(flow)
    average.update_parameters(flow)
    return average.module


def then(copied):
    def trained_first(flow, train):
        train(flow)
        return copied(flow)

    return trained_first


def reloaded(flow):
    fresh = copy.deepcopy(flow)
    for state in fresh.state_dict().values():
        state.zero_()
    fresh.load_state_dict(flow.state_dict())
    return fresh


@every_flow
def test_copies_do_not_initialise_again(name):
    """State is in tensors: a call in training mode changes no copy of a flow that has been trained."""

    def train(flow):
        flow.train().inverse_and_log_det(y, c)

    new = CASES[name].make().double()
    y, c = point(new, (5,), shape=new.event_shape), context(new, (5,))
    for copied in (averaged, then(copy.deepcopy), then(reloaded)):
        twin = copied(copy.deepcopy(new), train)
        before = {key: value.clone() for key, value in twin.state_dict().items()}
        twin.train().inverse_and_log_det(3 + 2 * y, c)
        for key, value in twin.state_dict().items():
            assert torch.equal(value, before[key]), key


@every_flow
def test_inverse_brings_its_parameters(name):
    flow = CASES[name].trained()
    held = nn.ModuleList([flow.inv])
    assert [id(p) for p in held.parameters()] == [id(p) for p in flow.parameters()]
    assert original(flow.inv.inv) is original(flow)


@flows_of_each_class
def test_a_sample_is_saved_as_a_plain_tensor(name):
    flow = CASES[name].trained()
    with torch.no_grad():
        y = density(flow, context(flow)).sample((3,))
    file = io.BytesIO()
    torch.save(y, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=True), y)
    assert file.tell() < 4096
    assert torch.equal(copy.deepcopy(y), y)
