"""What models and guides are made of."""

from collections import namedtuple

import pyro
import pyro.distributions as dist
import pyro.poutine as poutine
import pytest
import torch
from torch import nn

from tests.catalogue import pair
from zoo import Program, batch_plate, latent
from zoo.infer.programs import batch_size, map_tensors


def test_the_batch_plate_has_no_site_of_its_own_and_takes_any_batch():
    def model(n):
        with batch_plate():
            return pyro.sample("z", dist.Normal(torch.zeros(n), 1.0))

    for n in (1, 5):
        trace = poutine.trace(model).get_trace(n)
        assert [name for name, node in trace.nodes.items() if node["type"] == "sample"] == ["z"]
        trace.compute_log_prob()
        assert trace.nodes["z"]["log_prob"].shape == (n,)


def test_a_latent_shows_its_features():
    seen = {}

    class Look(poutine.messenger.Messenger):
        def _pyro_sample(self, msg):
            seen[msg["name"]] = msg["infer"]["h"]

    h = torch.ones(2)
    with Look():
        latent("z", dist.Normal(0.0, 1.0), h)
    assert seen == {"z": h}


def test_the_size_of_a_batch_is_the_images_or_the_number():
    assert batch_size(torch.zeros(3, 1), None) == 3
    assert batch_size(None, 4) == 4
    with pytest.raises(ValueError, match="got neither"):
        batch_size(None, None)
    with pytest.raises(ValueError, match="n >= 1, images to sample; got 0"):
        batch_size(None, 0)


def test_tensors_of_a_tree_are_mapped_and_the_rest_is_kept():
    Pair = namedtuple("Pair", "a b")
    tree = {"t": torch.ones(1), "list": [torch.ones(2), "word"], "pair": Pair(torch.ones(3), None)}
    mapped = map_tensors(lambda t: 2 * t, tree)
    assert mapped["pair"] == Pair(mapped["pair"].a, None)
    assert mapped["list"][1] == "word"
    assert [t.sum().item() for t in (mapped["t"], mapped["list"][0], mapped["pair"].a)] == [2, 4, 6]


@pytest.mark.parametrize("name", ["vae", "biva of 2 layers"])
def test_a_program_sends_its_parameters_to_classic_svi_alone(name):
    model, guide = pair(name)
    x = torch.zeros(2, 1, 6, 5, dtype=torch.float64)
    for program in (model, guide):
        nodes = poutine.trace(program).get_trace(x).nodes
        assert not [n for n, node in nodes.items() if node["type"] == "param"]
        nodes = poutine.trace(program, param_only=True).get_trace(x).nodes
        sent = {id(node["value"].unconstrained()) for node in nodes.values() if node["type"] == "param"}
        assert {id(p) for p in program.parameters()} <= sent


def test_a_parameter_never_takes_the_place_of_another_in_pyros_store():
    class Small(Program):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(2, 2)

        def forward(self):
            return None

    programs = [Small() for _ in range(3)]
    with poutine.trace(param_only=True):
        for program in programs:
            program()
    stored = {id(p) for p in pyro.get_param_store()._params.values()}
    assert stored == {id(p) for program in programs for p in program.parameters()}
