"""Weights files: what is written is what is read, or one line says why not."""

import json

import pytest
import safetensors.torch
import torch

from zoo.errors import CheckpointError, UsageError
from zoo.training.weights import load_weights, save_weights

ABOUT = {"config": {"experiment": "vae_digits"}, "record": {"note": "ü"}}


def tensors():
    torch.manual_seed(0)
    shared = torch.randn(3, 4)
    return {
        "model.a": shared,
        "guide.a": shared,
        "model.b": torch.randn(4, 5).t(),
        "steps": torch.tensor(7),
        "flag": torch.tensor(True),
        "rate": torch.tensor(0.1, dtype=torch.float64),
        "empty": torch.zeros(0),
        "none": torch.zeros(0),
    }


@pytest.fixture
def file(tmp_path):
    return save_weights(tmp_path / "w.safetensors", tensors(), ABOUT)


def test_everything_comes_back(file):
    weights = load_weights(file)
    assert weights.about == ABOUT
    assert weights.config == ABOUT["config"]
    assert weights.tensors.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert torch.equal(weights.tensors[name], tensor)
        assert weights.tensors[name].dtype is tensor.dtype
    assert weights.tensors["model.a"] is weights.tensors["guide.a"]


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_halves_are_rounded_float32_and_nothing_else_is_changed(tmp_path, dtype, digits):
    file = save_weights(tmp_path / "w.safetensors", tensors(), ABOUT, dtype=dtype)
    for name, tensor in tensors().items():
        kept = load_weights(file).tensors[name]
        if tensor.dtype is torch.float32:
            assert kept.dtype is getattr(torch, dtype)
            torch.testing.assert_close(kept.float(), tensor, rtol=2.0**-digits, atol=0)  # half a unit
        else:
            assert torch.equal(kept, tensor)


def test_what_a_half_cannot_hold_is_refused(tmp_path):
    large = {"scale": torch.tensor([70000.0])}
    with pytest.raises(UsageError, match="bfloat16 or float32"):
        save_weights(tmp_path / "w.safetensors", large, {}, dtype="float16")
    assert list(tmp_path.iterdir()) == []
    save_weights(tmp_path / "w.safetensors", large, {}, dtype="bfloat16")


def test_one_state_makes_one_file(file, tmp_path):
    again = save_weights(tmp_path / "again.safetensors", tensors(), ABOUT)
    assert again.read_bytes() == file.read_bytes()


def test_others_can_read_the_tensors(file):
    read = safetensors.torch.load_file(file)
    assert torch.equal(read["model.b"], tensors()["model.b"])


def test_nothing_is_overwritten(file):
    before = file.read_bytes()
    with pytest.raises(UsageError, match="which is there"):
        save_weights(file, tensors(), ABOUT)
    assert file.read_bytes() == before
    with pytest.raises(UsageError, match=r"end in \.safetensors"):
        save_weights(file.with_suffix(".pt"), tensors(), ABOUT)


def test_every_changed_bit_is_found(file):
    whole = file.read_bytes()
    generator = torch.Generator().manual_seed(0)
    places = [*range(16), *torch.randint(len(whole), (200,), generator=generator).tolist()]
    for place in places:
        flipped = whole[place] ^ (1 << place % 8)
        file.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match=r"^[^\n]*damaged[^\n]*$"):
            load_weights(file)


def test_every_truncation_and_addition_is_found(file):
    whole = file.read_bytes()
    for content in (*(whole[:n] for n in range(0, len(whole), 37)), whole + b"\0"):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"^[^\n]*damaged[^\n]*$"):
            load_weights(file)


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "w.safetensors"
    with pytest.raises(CheckpointError, match="check the path"):
        load_weights(file)
    file.mkdir()
    with pytest.raises(CheckpointError, match="something else"):
        load_weights(file)
    file.rmdir()
    safetensors.torch.save_file({"a": torch.zeros(2)}, file)
    with pytest.raises(CheckpointError, match="zoo export"):
        load_weights(file)
    header = json.dumps([1, 2]).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match="zoo export"):
        load_weights(file)
