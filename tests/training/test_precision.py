"""Networks in bfloat16, densities in float32."""

import copy
import signal

import pyro
import pytest
import torch
from torch import nn

import zoo
from tests.catalogue import images_for, pair
from tests.training import runs
from zoo.errors import UsageError
from zoo.training.precision import MixedPrecision, is_network

EPS = 2.0**-8  # of bfloat16
CPU = torch.device("cpu")
PAIRS = ["vae", "vae, flow posterior", "biva of 3 layers", "nvae", "vdvae", "pixelcnn"]


def system(name):
    return pair(name, dtype=torch.float32)


@pytest.mark.parametrize("name", PAIRS)
def test_every_density_is_in_float32_and_networks_are_not(name):
    model, guide = system(name)
    x = images_for(name, dtype=torch.float32)
    both = nn.ModuleList([model, guide])
    mixed, seen = MixedPrecision(both, CPU), set()
    for part in both.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    with mixed.on(), torch.no_grad():
        latents = pyro.poutine.trace(guide).get_trace(x)
        trace = pyro.poutine.trace(pyro.poutine.replay(model, latents)).get_trace(x)
    for found in (latents, trace):
        found.compute_log_prob()
        for site in found.nodes.values():
            if site["type"] == "sample":
                assert site["value"].dtype is torch.float32
                assert site["log_prob"].dtype is torch.float32
    assert any(is_network(part) for part in both.modules())
    assert seen <= {torch.bfloat16, torch.float32}
    assert torch.bfloat16 in seen or name == "pixelcnn"  # whose layers call functions


@pytest.mark.parametrize("name", PAIRS)
def test_the_loss_is_near_that_of_float32(name):
    """Each of at most thirty layers rounds its output to 8 bits."""
    loss = zoo.ELBO()(*system(name))
    x = images_for(name, dtype=torch.float32)
    mixed = MixedPrecision(loss, CPU)

    def value():
        torch.manual_seed(0)
        return loss(x).detach()

    plain = value()
    with mixed.on():
        found = value()
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, plain, rtol=30 * EPS, atol=30 * EPS)
    assert found != plain
    assert torch.equal(value(), plain)  # the same operations in the same process


def test_copies_are_in_float32():
    loss = zoo.ELBO()(*system("vae"))
    mixed = MixedPrecision(loss, CPU)
    x = images_for("vae", dtype=torch.float32)
    with mixed.on():
        copied = copy.deepcopy(loss)
        torch.manual_seed(0)
        found = copied(x)
    torch.manual_seed(0)
    assert torch.equal(found, loss(x))


def test_an_error_in_a_network_leaves_no_autocast_behind():
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 3))
    mixed = MixedPrecision(network, CPU)
    with mixed.on(), pytest.raises(RuntimeError):
        network(torch.ones(1, 2))
    assert not torch.is_autocast_enabled("cpu")
    assert mixed.depth == 0


def test_a_killed_run_in_bfloat16_is_resumed_to_the_bit(tmp_path):
    whole, again = tmp_path / "whole", tmp_path / "again"
    runs.fit_digits(whole, precision="bf16")
    assert runs.in_process(runs.die_in_step, again, 7, precision="bf16") == -signal.SIGKILL
    runs.fit_digits(again, precision="bf16")
    assert runs.same(runs.state(again), runs.state(whole))
    runs.fit_digits(tmp_path / "single")
    assert not runs.same(runs.state(tmp_path / "single"), runs.state(whole))


def test_it_is_not_compiled(tmp_path):
    with pytest.raises(UsageError, match="compile=false with precision=bf16"):
        runs.fit_digits(tmp_path / "run", precision="bf16", compile=True)
