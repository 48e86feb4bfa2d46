"""Channels-last memory changes how numbers lie, and the order of sums."""

import copy

import pytest
import torch

import zoo
from tests.catalogue import images_for, pair
from tests.training import runs
from zoo.experiments import find
from zoo.nn.channels_last import lay_channels_last

FEW = 10_000 * torch.finfo(torch.float64).eps  # sums of some hundred terms, through some thirty layers


@pytest.mark.parametrize("name", ["biva of 3 layers", "nvae", "vdvae", "pixelcnn", "row lstm", "density"])
def test_loss_and_gradients_are_the_same(name):
    torch.manual_seed(0)
    loss, x = zoo.ELBO()(*pair(name)), images_for(name)

    def taken(loss):
        torch.manual_seed(1)
        return [loss(x).detach(), *torch.autograd.grad(loss(x), [*loss.parameters()])]

    taken(loss)  # initialises what the first batch initialises
    other = lay_channels_last(copy.deepcopy(loss))
    assert is_channels_last(other)
    for found, expected in zip(taken(other), taken(loss), strict=True):
        torch.testing.assert_close(found, expected, rtol=FEW, atol=FEW * float(1 + expected.abs().max()))


def test_a_run_is_resumed_to_the_bit(tmp_path):
    runs.fit_digits(tmp_path / "whole", channels_last=True, steps=6)
    for steps in (3, 6):
        fit = runs.fit_digits(tmp_path / "run", channels_last=True, steps=steps)
        assert is_channels_last(fit.loss)
        assert is_channels_last(fit.evaluated)
    assert runs.same(runs.state(tmp_path / "run"), runs.state(tmp_path / "whole"))
    assert runs.metrics(tmp_path / "run") == runs.metrics(tmp_path / "whole")


def test_it_is_evaluated_as_it_was_trained(tmp_path):
    options = {"channels": 2, "latent": 2, "steps": 1, "channels_last": True}
    run = zoo.Run.create(find("vae_digits").override(options), tmp_path / "run")
    run.train()
    run.export(tmp_path / "weights.safetensors")
    for place in (tmp_path / "run", tmp_path / "weights.safetensors"):
        assert is_channels_last(zoo.load(place))
    assert not is_channels_last(zoo.build("vae_digits"))


def is_channels_last(module):
    return any(p.dim() == 4 and not p.is_contiguous() for p in module.parameters())
