"""What a result was measured on."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from zoo.data import Binary, Grid, Protocol, load_data
from zoo.data.loading import resolved_name
from zoo.errors import DataError, UsageError

CASES = {
    "dynamic": Protocol(),
    "anew": Protocol(binarize_seed=None),
    "static": Protocol(binarize="static"),
    "threshold": Protocol(binarize="threshold"),
    "none": Protocol(binarize="none"),
}
each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_held_out_images_are_what_the_protocol_says(name):
    protocol, digits = CASES[name], load_data("digits")
    grey = name == "none"
    x = protocol.held_out(protocol.load(), "test", Grid() if grey else Binary())
    expected = {
        "dynamic": digits.binarized(0).test,
        "static": digits.binarized(0).test,
        "threshold": digits.thresholded().test,
        "none": Grid()(digits.test, 17),
    }
    assert x.dtype == torch.float32
    if name in expected:
        assert torch.equal(x, expected[name].float())
    else:
        assert set(x.unique().tolist()) == {0.0, 1.0}


@each_case
def test_only_images_drawn_anew_depend_on_the_seed_of_the_evaluation(name):
    protocol = CASES[name]
    images = protocol.load()
    first, again, other = (protocol.held_out(images, "test", Binary(), seed=s) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name not in ("anew", "none"))  # grey levels here: `Binary` draws


def test_every_split_has_noise_of_its_own():
    images = replace(load_data("digits"), validation=load_data("digits").test, validation_labels=None)
    for protocol in (CASES["dynamic"], CASES["anew"]):
        assert not torch.equal(*(protocol.held_out(images, s, Binary()) for s in ("validation", "test")))


def test_no_two_protocols_have_the_same_description():
    lines = {name: p.describe(p.load()) for name, p in CASES.items()}
    lines["seed"] = (seed := Protocol(binarize_seed=1)).describe(seed.load())
    lines["static seed"] = (seed := Protocol(binarize="static", binarize_seed=1)).describe(seed.load())
    lines["validation"] = (seed := Protocol(validation=0)).describe(seed.load())
    assert all(a != b for a, b in combinations(lines.values(), 2))
    assert not any("\n" in line for line in lines.values())
    assert lines["none"] == "digits (1400 train, 100 validation, 297 test), 17 levels"


@pytest.mark.parametrize("name", ["dynamic", "static", "threshold"])
def test_images_binary_in_their_files_are_left_alone_and_described_so(name, tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (20, 4, 4), np.uint8)
    np.savez(tmp_path / "bits.npz", train=bits, test=bits)
    protocol = replace(CASES[name], data=str(tmp_path / "bits.npz"))
    images = protocol.load()
    assert "binary in its files" in protocol.describe(images)
    assert torch.equal(protocol.held_out(images, "test", Binary()), torch.from_numpy(bits)[:, None].float())


@pytest.mark.parametrize(("written", "resolved"), [("MNIST", "mnist"), ("no/such", "no/such"), ("", "")])
def test_names_resolve_to_the_set_and_unknown_ones_to_themselves(written, resolved):
    assert resolved_name(written) == resolved


def test_images_beside_are_under_the_same_protocol(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "noise.npy", rng.integers(0, 17, (20, 8, 8), np.uint8))
    np.save(tmp_path / "wide.npy", rng.integers(0, 17, (20, 8, 9), np.uint8))
    protocol = Protocol(binarize="threshold")
    own = protocol.load()
    assert protocol.load_beside(own, str(tmp_path / "noise.npy")).levels == 2
    with pytest.raises(DataError, match=r"expected images of shape \(1, 8, 8\).*got \(1, 8, 9\)"):
        protocol.load_beside(own, str(tmp_path / "wide.npy"))
    grey = Protocol(binarize="none")
    with pytest.raises(DataError, match=r"17 levels.* and 256 from"):
        grey.load_beside(grey.load(), str(tmp_path / "noise.npy"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"binarize": "statically"},
            "one of dynamic, static, threshold, none; got statically",
        ),
        ({"validation": -1}, "validation >= 0; got -1"),
        ({"binarize": "static", "binarize_seed": None}, "binarize_seed=none is for binarize=dynamic"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Protocol(**options)


def test_an_unknown_split_is_refused():
    with pytest.raises(UsageError, match="one of train, validation, test; got 'tset'"):
        Protocol().held_out(load_data("digits"), "tset", Binary())
