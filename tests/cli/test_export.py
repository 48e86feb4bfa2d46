"""`zoo export`, and every command that takes what it wrote in place of a run."""

import shutil

import numpy as np
import pytest
import torch

import zoo as library
from zoo.errors import UsageError
from zoo.runs.run import Run


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The weights of the run, at full precision."""
    return Run.open(trained).export(tmp_path_factory.mktemp("weights") / "small.safetensors")


def test_the_exported_system_is_the_runs(trained, exported):
    run, file = (library.load(place).loss().state_dict() for place in (trained, exported))
    assert run.keys() == file.keys()
    assert all(torch.equal(run[name], file[name]) for name in run)
    assert library.load(exported).experiment.options() == library.load(trained).experiment.options()


@pytest.mark.parametrize(
    "command",
    [
        "evaluate {} --samples 3 --images 10",
        "sample {} -n 4 --out {}/s.png",
        "reconstruct {} -n 2 --out {}/s.png",
    ],
    ids=lambda command: command.split()[0],
)
def test_a_command_answers_of_the_file_as_of_the_run(command, zoo, trained, exported, tmp_path):
    found = []
    for number, place in enumerate((trained, exported)):
        outcome = zoo(*command.format(place, tmp_path / str(number)).split())
        assert outcome.code == 0, outcome.err
        pictures = [path.read_bytes() for path in tmp_path.glob(f"{number}/*.png")]
        found.append(pictures or outcome.out)
    assert found[0] == found[1]


def test_the_command_writes_halves_with_the_record(zoo, trained, exported, tmp_path):
    file = tmp_path / "half.safetensors"
    outcome = zoo("export", trained, file, "--dtype", "bfloat16")
    assert outcome.code == 0, outcome.err
    assert str(file) in outcome.out
    assert file.stat().st_size < exported.stat().st_size
    run = Run.open(file)
    assert run.record == Run.open(trained).record
    assert run.record.samples == 5
    assert {p.dtype for p in run.system.parameters()} == {torch.float32}
    assert zoo("export", trained, file).code == 2  # it is there
    assert zoo("export", file, tmp_path / "again.safetensors", "--dtype", "bfloat16").code == 0
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_no_path_of_this_machine_is_in_the_file(exported, tmp_path_factory):
    assert str(tmp_path_factory.getbasetemp()).encode() not in exported.read_bytes()


def test_a_run_that_was_not_evaluated_has_no_record(zoo, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    outcome = zoo("export", tmp_path / "run", tmp_path / "w.safetensors")
    assert outcome.code == 0, outcome.err
    assert "it has no figures: zoo evaluate" in outcome.out
    assert Run.open(tmp_path / "w.safetensors").record is None


def test_weights_are_not_trained_further(exported, tmp_path, zoo):
    with pytest.raises(UsageError, match="zoo train vae_digits"):
        Run.open(exported).train()
    outcome = zoo("finetune", exported, "--out", tmp_path / "new")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert not (tmp_path / "new").exists()


def test_damaged_weights_are_one_line(zoo, exported, tmp_path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(exported.read_bytes()[:-1])
    outcome = zoo("sample", file, "--out", tmp_path / "s.png")
    assert (outcome.code, outcome.err.count("\n")) == (4, 1)
    assert not (tmp_path / "s.png").exists()


def test_scores_of_anomalies_are_pictured_beside_no_run(zoo, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("noise.npy", np.random.default_rng(0).integers(0, 17, (30, 8, 8), dtype=np.uint8))
    command = ("anomaly", exported, "--against", "noise.npy", "--images", 3, "--samples", 2)
    assert zoo(*command).code == 0
    assert zoo(*command).code == 2  # anomaly.png is there
    assert zoo(*command, "--out", "other.png").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"noise.npy", "anomaly.png", "other.png"}
