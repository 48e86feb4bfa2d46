"""Activation checkpoints: the same loss and gradients, fewer activations kept."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import zoo
from tests.catalogue import images, pair
from tests.contracts import (
    Calls,
    assert_all_close,
    assert_equal_up_to_rounding,
    loss_and_gradients,
    operations,
    seeded,
)
from zoo.nn.checkpointed import checkpoint_activations
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.stages import Decoder, Upward
from zoo.nn.weight_norm import weight_normalised

PAIRS = ["biva of 3 layers", "biva of feature maps", "biva with dropout"]
KINDS = {"paths": (Upward, Decoder), "blocks": GatedResNet}


def losses(name, kinds, *, weight_norm=False):
    """The loss of a pair in training, without and with checkpoints."""
    programs = pair(name)
    if weight_norm:
        programs = tuple(map(weight_normalised, programs))
        seeded(zoo.initialise, *programs, images(8))
    plain = zoo.ELBO()(*programs).train()
    return plain, checkpoint_activations(copy.deepcopy(plain), kinds)


def assert_same_loss_and_gradients(found, expected, loss):
    """The loss is the same operations; the terms of a gradient may be added in another order."""
    assert torch.equal(found[0], expected[0])
    scale = max(gradient.abs().max().item() for gradient in expected[1])
    assert_equal_up_to_rounding(found[1], expected[1], operations=operations(loss), scale=scale)


@pytest.mark.parametrize("weight_norm", [False, True])
@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("name", PAIRS)
def test_loss_and_gradients_are_the_same(name, kinds, weight_norm):
    plain, checkpointed = losses(name, KINDS[kinds], weight_norm=weight_norm)
    value, gradients = loss_and_gradients(plain, images(4), parameters=plain.parameters(), seed=3)
    again, others = loss_and_gradients(checkpointed, images(4), parameters=checkpointed.parameters(), seed=3)
    assert_same_loss_and_gradients((again, others), (value, gradients), plain)


def kept(loss, x):
    """Bytes that a step keeps for its backward pass, parameters apart."""
    own = {p.untyped_storage().data_ptr() for p in loss.parameters()}
    sizes = {}

    def pack(t):
        storage = t.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = (storage.nbytes(), t)  # held, so that no other takes its place
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        loss(x)
    return sum(size for size, _ in sizes.values())


@pytest.mark.parametrize("weight_norm", [False, True])
@pytest.mark.parametrize("kinds", KINDS)
def test_less_is_kept(kinds, weight_norm):
    plain, checkpointed = losses("biva of feature maps", KINDS[kinds], weight_norm=weight_norm)
    assert kept(checkpointed, images(30)) < kept(plain, images(30)) / 2


def test_whole_paths_keep_less_than_single_blocks():
    _, paths = losses("biva of 3 layers", KINDS["paths"])
    _, blocks = losses("biva of 3 layers", KINDS["blocks"])
    assert kept(paths, images(30)) < kept(blocks, images(30))


def calls(loss, x, *, gradients=True):
    """How often the first block of the guide runs."""
    block = next(m for m in loss.guide.modules() if isinstance(m, GatedResNet))
    with Calls({"block": block}) as counted, torch.set_grad_enabled(gradients):
        value = loss(x)
        if gradients:
            value.backward()
    return counted.count["block"]


def test_blocks_run_twice_in_training_alone():
    _, loss = losses("biva of 3 layers", KINDS["paths"])
    assert calls(loss, images()) == 2
    assert calls(loss, images(), gradients=False) == 1
    assert calls(loss.eval(), images()) == 1


def test_states_are_interchangeable():
    plain, checkpointed = losses("biva of 3 layers", KINDS["paths"])
    assert [*plain.state_dict()] == [*checkpointed.state_dict()]
    assert [name for name, _ in plain.named_parameters()] == [n for n, _ in checkpointed.named_parameters()]
    assert [name for name, _ in plain.named_modules()] == [n for n, _ in checkpointed.named_modules()]
    for parameter in plain.parameters():
        nn.init.normal_(parameter, std=0.1)
    checkpointed.load_state_dict(plain.state_dict())
    assert torch.equal(seeded(checkpointed, images()), seeded(plain, images()))


COPIES = {"copy": copy.deepcopy, "pickle": lambda loss: pickle.loads(pickle.dumps(loss))}


@pytest.mark.parametrize("through", COPIES)
def test_copies_use_their_own_parameters(through):
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 4), nn.Tanh()))
    checkpoint_activations(net, nn.Linear)
    twin, x = COPIES[through](net), torch.randn(5, 2)
    y = net(x)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(twin(x), y)
    twin(x).sum().backward()
    assert all(p.grad is not None for p in twin.parameters())
    assert all(p.grad is None for p in net.parameters())


def test_an_average_has_its_own_parameters():
    _, loss = losses("biva of 3 layers", KINDS["paths"])
    average = AveragedModel(loss).module.eval()
    before = seeded(average, images())
    for parameter in loss.parameters():
        nn.init.normal_(parameter)
    assert torch.equal(seeded(average, images()), before)


def test_twice_is_once():
    _, loss = losses("biva of 3 layers", KINDS["paths"])
    assert calls(checkpoint_activations(loss, KINDS["paths"]), images()) == 2


def test_a_checkpoint_within_a_checkpoint_is_not_made():
    _, loss = losses("biva of 3 layers", (Upward, Decoder, GatedResNet))
    assert calls(loss, images()) == 2


def test_a_module_itself_is_checkpointed():
    layer = checkpoint_activations(nn.Linear(2, 2), nn.Linear)
    with Calls({"layer": layer}) as counted:
        layer(torch.ones(1, 2)).sum().backward()
    assert counted.count["layer"] == 1  # hooks of the module are outside of the checkpoint
    assert layer.weight.grad is not None


def test_where_there_is_nothing_to_checkpoint_it_says_so():
    with pytest.raises(ValueError, match=r"Linear has no submodule of .*Conv2d"):
        checkpoint_activations(nn.Linear(2, 2), nn.Conv2d)


def test_checkpoints_compile_whole():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    twin = checkpoint_activations(copy.deepcopy(net), nn.Sequential)
    compiled, x = torch.compile(twin, fullgraph=True, backend="aot_eager"), torch.randn(5, 3)
    gradients = torch.autograd.grad(compiled(x).sum(), [*twin.parameters()])
    assert_all_close(gradients, torch.autograd.grad(net(x).sum(), [*net.parameters()]), atol=1e-6)


def test_a_system_built_with_checkpoints_has_the_same_loss_and_gradients():
    options = {"weight_norm": True, "dropout_q": 0.3, "spatial": (True, False, True), "head_kernel": 0}

    def gradients(**more):
        torch.manual_seed(0)
        system = zoo.build("biva_digits", filters=4, **options, **more)
        loss = system.loss().train()
        x = torch.rand(3, 1, 8, 8).round()
        value = loss(x)
        value.backward()
        return (value, [p.grad for p in loss.parameters()]), loss

    (expected, plain), (found, _) = gradients(), gradients(checkpoint_activations=True)
    assert_same_loss_and_gradients(found, expected, plain)
