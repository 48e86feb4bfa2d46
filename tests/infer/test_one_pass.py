"""A step runs each network once."""

import itertools

import pytest
import torch
from pyro.infer import Trace_ELBO

from flows.nn.conditioner import MLP, ConvNet
from tests.catalogue import PAIRS, SHARING, images, images_for, pair
from tests.contracts import Calls
from zoo import ELBO, ImportanceWeighted, WaveNet, log_likelihood, log_weights
from zoo.analysis.sampling import reconstruct
from zoo.models.vdvae import Bottleneck
from zoo.nn.causal.network import CausalNetwork
from zoo.nn.cells import LogNormConv2d, ResidualCell
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.layers import Shaped

BIVAS = [name for name in PAIRS if name.startswith("biva")]
bivas = pytest.mark.parametrize("name", BIVAS)


CELLS = (ResidualCell, LogNormConv2d, Bottleneck)
NETWORKS = (GatedResNet, MLP, ConvNet, CausalNetwork, WaveNet, Shaped, *CELLS)


def blocks(module):
    return {name: m for name, m in module.named_modules() if isinstance(m, NETWORKS)}


# every pair under one objective, two of them under the others
STEPS = [(name, ELBO(num_particles=3)) for name in PAIRS]
STEPS += itertools.product(("vae", "biva of 3 layers"), (ELBO(), ImportanceWeighted(3)))


@pytest.mark.parametrize(("name", "objective"), STEPS)
def test_a_step_calls_every_block_once(name, objective):
    model, guide = pair(name)
    loss = objective(model, guide)
    with Calls(blocks(loss)) as calls:
        loss(images_for(name)).backward()
    shared = {2} if name in SHARING else set()  # an encoder that the prior runs on its pseudo-inputs
    assert set(calls.count.values()) == {1, *shared}


@bivas
def test_pyros_own_elbo_runs_the_decoder_twice(name):
    """Control: without our objective the guide and the model each run it."""
    model, guide = pair(name)
    with Calls(blocks(model)) as decoder, Calls(blocks(guide)) as encoder:
        Trace_ELBO()(model, guide)(images_for(name))
    assert set(decoder.count.values()) == {2}
    assert set(encoder.count.values()) == {1}


def test_importance_sampling_encodes_an_image_once():
    model, guide = pair("vae")
    with Calls(blocks(guide)) as encoder, Calls(blocks(model)) as decoder:
        log_weights(model, guide, images(3), 12, chunk=4)
    assert set(encoder.count.values()) == {1}
    assert set(decoder.count.values()) == {3}


def test_importance_sampling_runs_the_encoder_of_conditional_flows_once_an_image():
    """And it gives the context to every sample: the networks of the flows see k times the rows."""
    model, guide = pair("vae, conditional flow posterior")
    head = guide.head
    flow = head.head.flows[0].flows[0].net
    with Calls({"encoder": head.net, "context": head.head.context, "flow": flow}) as calls:
        log_weights(model, guide, images(3), 12, chunk=4)
    assert calls.count == {"encoder": 1, "context": 1, "flow": 3}
    assert calls.rows == {"encoder": 3, "context": 3, "flow": 12}


def test_several_samples_of_learned_noise_cost_one_pass_over_the_images():
    model, guide = pair("density, learned noise")
    noise = guide.head.noise
    with Calls({"features": noise.context, "noise": noise.flows[0].original.net}) as calls:
        ImportanceWeighted(5)(model, guide)(images_for("density"))
    assert calls.count == {"features": 1, "noise": 1}
    assert calls.rows == {"features": 3, "noise": 15}


def test_importance_sampling_runs_what_of_biva_depends_on_the_image_alone_once():
    model, guide = pair("biva of 3 layers")
    with Calls(blocks(guide.layers[0].bottom_up)) as first, Calls(blocks(guide.layers[1])) as second:
        log_weights(model, guide, images(3), 12, chunk=4)
    assert set(first.count.values()) == {1}
    assert set(second.count.values()) == {3}


def test_several_samples_cost_one_encoder_pass_over_the_images():
    model, guide = pair("vae")
    x = images(3)
    with Calls({"encoder": guide.head.net, "decoder": model.likelihood}) as calls:
        ImportanceWeighted(5)(model, guide)(x)
    assert calls.count == {"encoder": 1, "decoder": 1}
    assert calls.rows == {"encoder": 3, "decoder": 15}


@pytest.mark.parametrize("k", [100, 5000])
def test_no_pass_has_more_rows_for_more_samples(k):
    """Memory does not depend on k."""
    model, guide = pair("vae", dtype=torch.float32)
    x = images(3, dtype=torch.float32)
    with Calls({"decoder": model.likelihood}) as calls:
        log_likelihood(model, guide, x, k, chunk=20)
    assert calls.rows["decoder"] == 60


def test_the_default_chunk_bounds_the_rows_of_a_pass():
    model, guide = pair("vae", dtype=torch.float32)
    with Calls({"decoder": model.likelihood}) as calls:
        log_likelihood(model, guide, images(3, dtype=torch.float32), 5000)
    assert calls.rows["decoder"] <= 1000


def test_a_reconstruction_is_one_pass():
    model, guide = pair("biva of 2 layers")
    with Calls(blocks(model)) as calls:
        reconstruct(model, guide, images())
    assert set(calls.count.values()) == {1}
