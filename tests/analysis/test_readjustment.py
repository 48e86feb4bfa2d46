"""Statistics of samples: taken, finite, given back."""

import copy

import pytest
import torch

from tests.catalogue import IMAGE, nvaes, pair
from tests.contracts import seeded
from zoo import sample
from zoo.analysis.readjustment import readjusted
from zoo.errors import UsageError


def trained_apart(seed=0):
    """A model whose statistics are of something else."""
    torch.manual_seed(seed)
    model, _ = nvaes()(IMAGE)
    for layer in norms(model):
        layer.running_mean.normal_(3.0)
        layer.running_var.uniform_(4.0, 9.0)
    return model.eval()


def norms(model):
    return [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def state(model):
    return copy.deepcopy(model.state_dict())


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_statistics_are_those_of_samples():
    """The first normalisation sees the state after the top group: its moments over many samples."""
    model = trained_apart()
    layer = norms(model)[0]
    seen = []
    hook = layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
    with readjusted(model, batches=8, n=6):
        values = torch.cat(seen)
        torch.testing.assert_close(layer.running_mean, values.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
        variances = torch.stack([x.transpose(0, 1).flatten(1).var(1) for x in seen]).mean(0)
        torch.testing.assert_close(layer.running_var, variances, atol=1e-5, rtol=1e-4)
    hook.remove()


@pytest.mark.parametrize("training", [False, True])
def test_afterwards_everything_is_as_it_was(training):
    model = trained_apart().train(training)
    before = state(model)
    with readjusted(model, batches=2):
        assert not same(before, model.state_dict())
        sample(model, 2)
    assert same(before, model.state_dict())
    assert all(m.training == training for m in model.modules())
    assert all(layer.momentum == 0.05 for layer in norms(model))


def test_parameters_are_not_touched():
    model = trained_apart()
    before = {name: p.clone() for name, p in model.named_parameters()}
    with readjusted(model, batches=2):
        assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_a_failure_inside_gives_them_back_too():
    model = trained_apart()
    before = state(model)
    with pytest.raises(RuntimeError, match="mine"), readjusted(model, batches=1):
        raise RuntimeError("mine")
    assert same(before, model.state_dict())


def test_statistics_that_are_not_finite_stay_as_they_were():
    model = trained_apart()
    layer = norms(model)[0]
    before = layer.running_var.clone()
    hook = layer.register_forward_pre_hook(lambda module, args: (args[0] * 1e30,))
    with readjusted(model, batches=2):
        assert torch.equal(layer.running_var, before)
        assert all(t.isfinite().all() for t in model.state_dict().values())
    hook.remove()


def test_the_temperature_is_that_of_the_samples():
    model = trained_apart()
    with readjusted(model, temperature=0.01, batches=4):
        cold = norms(model)[0].running_var.clone()
    with readjusted(model, temperature=1.0, batches=4):
        assert (cold < norms(model)[0].running_var).all()


def test_a_model_without_batch_normalisation_stays_as_it_is():
    model, _ = pair("vdvae", dtype=torch.float32)
    before = state(model)
    with readjusted(model):
        assert same(before, model.state_dict())


@pytest.mark.parametrize("sizes", [{"batches": 0}, {"n": 1}])
def test_too_few_samples(sizes):
    with (
        pytest.raises(UsageError, match="at least 1 batch of at least 2"),
        readjusted(trained_apart(), **sizes),
    ):
        pass


def test_a_temperature_for_single_layers_is_theirs():
    """At almost 0 for all layers there is one image; at 1 for the lowest one they differ again."""
    model, _ = pair("nvae")
    one = seeded(sample, model, 4, temperature={1: 1e-6, 2: 1e-6, 3: 1e-6}, mean=True)
    torch.testing.assert_close(one, one[:1].expand_as(one))
    torch.testing.assert_close(one, seeded(sample, model, 4, temperature=1e-6, mean=True))
    some = seeded(sample, model, 4, temperature={2: 1e-6, 3: 1e-6}, mean=True)
    assert (some - some[:1]).abs().max() > 1e-6


def test_a_temperature_of_1_for_all_layers_is_a_plain_sample():
    model, _ = pair("nvae")
    assert torch.equal(seeded(sample, model, 3, temperature={1: 1.0, 2: 1.0}), seeded(sample, model, 3))


def test_a_layers_temperature_is_checked():
    with pytest.raises(UsageError, match="temperature"):
        sample(pair("nvae")[0], 1, temperature={1: 0.0})
