"""`--resume`, signals and kills at the command line."""

import importlib
import json
import os
import shlex
import shutil
import signal

import pytest

from tests.training.runs import Command, metrics, same, signal_in_step, state
from zoo.cli import main as cli
from zoo.data.protocol import Protocol
from zoo.runs import run
from zoo.runs.monitor import Monitor
from zoo.runs.run import Run
from zoo.training import trainer
from zoo.training.run_folder import RunFolder

SMALL = (
    *("vae_digits", "--batch-size", 100, "--samples", 2, "--images", 5, "--seed", 4),
    *("--set", "channels=4", "--set", "latent=3", "--set", "strides=2"),
    *("--set", "log_every=1", "--set", "ema=0.9"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two epochs that was not ended."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert cli.main([*map(str, ("train", *SMALL, "--out", run, "--epochs", 2))]) == 0
    return run


@pytest.fixture
def finished(whole, tmp_path):
    """A copy of it."""
    return shutil.copytree(whole, tmp_path / "finished")


def test_a_finished_run_is_evaluated_again(zoo, finished, whole):
    outcome = zoo("train", *SMALL, "--out", finished, "--epochs", 2, "--resume")
    assert outcome.code == 0
    assert "log p(x)" in outcome.out
    assert same(state(finished), state(whole))
    assert metrics(finished) == metrics(whole)


def test_a_run_goes_on_with_the_options_it_has(zoo, tmp_path, whole):
    run = tmp_path / "run"
    assert zoo("train", *SMALL, "--out", run, "--steps", 3).code == 0
    outcome = zoo(
        *("train", "vae_digits", "--out", run, "--epochs", 2, "--set", "steps=none", "--resume"),
        *("--samples", 2, "--images", 5),
    )
    assert outcome.code == 0, outcome.err
    assert same(state(run), state(whole))


def test_a_finished_run_goes_on_to_more_epochs(zoo, tmp_path, whole):
    run = tmp_path / "run"
    assert zoo("train", *SMALL, "--out", run, "--epochs", 1).code == 0
    assert zoo("train", *SMALL, "--out", run, "--epochs", 2, "--resume").code == 0
    assert same(state(run), state(whole))
    trained = [[line for line in metrics(r) if "train/loss" in line] for r in (run, whole)]
    assert trained[0] == trained[1]


def test_a_run_from_before_an_option_goes_on_with_its_default(zoo, tmp_path, whole):
    run = tmp_path / "run"
    assert zoo("train", *SMALL, "--out", run, "--epochs", 1).code == 0
    config = json.loads((run / "config.json").read_text())
    del config["crc32"]
    for name in ("betas", "accumulate", "skip_above"):
        del config["options"][name]
    (run / "config.json").write_text(json.dumps(config))
    outcome = zoo("train", *SMALL, "--out", run, "--epochs", 2, "--resume")
    assert outcome.code == 0, outcome.err
    assert same(state(run), state(whole))


CHANGES = {
    "latent": ("--set", "latent=5"),
    "ema": ("--set", "ema=0"),
    "batch_size": ("--batch-size", 50),
    "binarize": ("--set", "binarize=static"),
    "seed": ("--seed", 5),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_option_is_refused_by_its_name(name, zoo, finished, hashes):
    before = hashes(finished)
    outcome = zoo("train", *SMALL, "--out", finished, "--epochs", 3, *CHANGES[name], "--resume")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert f"{name} was" in outcome.err
    assert hashes(finished) == before


def test_a_damaged_checkpoint_is_replaced_by_the_one_before(zoo, tmp_path, whole):
    run = tmp_path / "run"
    assert zoo("train", *SMALL, "--out", run, "--epochs", 1, "--set", "save_every=5").code == 0
    last = run / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning, match="resuming from"):
        outcome = zoo("train", *SMALL, "--out", run, "--epochs", 2, "--resume")
    assert outcome.code == 0
    assert same(state(run), state(whole))


def test_the_second_process_in_a_folder_is_refused(zoo, finished, hashes):
    with RunFolder.open(finished).lock():
        before = hashes(finished)
        outcome = zoo("train", *SMALL, "--out", finished, "--epochs", 3, "--resume")
        assert outcome.code == 2
        assert str(os.getpid()) in outcome.err
        assert hashes(finished) == before
        assert zoo("evaluate", finished, "--samples", 2, "--images", 5).code == 0  # reading is free


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_message_of_an_interrupted_run_is_the_command_that_goes_on(
    number, zoo, tmp_path, whole, monkeypatch
):
    run = tmp_path / "a run"
    with monkeypatch.context() as patch:
        signal_in_step(patch, 17, number)
        outcome = zoo("train", *SMALL, "--out", run, "--epochs", 2)
    assert outcome.code == 75
    said = outcome.err.splitlines()[-1]
    assert said.startswith("zoo: interrupted at step 17 of 28")
    again = shlex.split(said.partition("resume with: ")[2])
    assert zoo(*again[1:]).code == 0
    assert same(state(run), state(whole))
    assert metrics(run) == metrics(whole)


def test_interrupted_twice_it_ends_at_once(zoo, tmp_path, monkeypatch):
    signal_in_step(monkeypatch, 2, signal.SIGINT, signal.SIGINT)
    outcome = zoo("train", *SMALL, "--out", tmp_path / "run", "--steps", 3)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "zoo: interrupted"


def test_a_smaller_learning_rate_is_taken_and_recorded(zoo, finished):
    options = RunFolder.open(finished).config["options"]
    smaller = ("--set", "learning_rate=1e-5", "--set", "clip=1")
    outcome = zoo("train", *SMALL, "--out", finished, "--epochs", 3, *smaller, "--resume")
    assert outcome.code == 0, outcome.err
    config = RunFolder.open(finished).config
    assert config["options"] == {**options, "epochs": 3, "learning_rate": 1e-5, "clip": 1.0}
    assert [(change["step"], change["after"]["clip"]) for change in config["changes"]] == [(28, 1.0)]
    rates = {line["train/learning_rate"] for line in metrics(finished)[-3:] if "train/loss" in line}
    assert rates == {1e-5}


PHASES = {
    "imports": ("train", signal.SIGINT, importlib, "import_module"),
    "data": ("train", signal.SIGTERM, Protocol, "load"),
    "preparation": ("train", signal.SIGINT, run, "prepared"),
    "validation": ("train", signal.SIGTERM, Monitor, "__call__"),
    "the last save": ("train", signal.SIGTERM, trainer, "save_checkpoint"),
    "evaluation": ("train", signal.SIGINT, Run, "evaluate"),
    "pictures": ("train", signal.SIGTERM, Run, "save_pictures"),
    "an evaluation": ("evaluate", signal.SIGTERM, Run, "evaluate"),
    "samples": ("sample", signal.SIGINT, Run, "sample"),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_anywhere_ends_with_the_command_that_resumes(phase, zoo, tmp_path, whole, monkeypatch):
    command, number, place, name = PHASES[phase]
    arguments = {
        "train": ("train", *SMALL, "--batch-size", 700, "--out", tmp_path / "a run", "--epochs", 1),
        "evaluate": ("evaluate", whole, "--samples", 2, "--images", 5),
        "sample": ("sample", whole, "-n", 2, "--out", tmp_path / "x.png"),
    }[command]
    work = getattr(place, name)

    def interrupted(*arguments, **keywords):
        os.kill(os.getpid(), number)
        return work(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, interrupted)
        outcome = zoo(*arguments)
    assert outcome.code == 75
    said = outcome.err.splitlines()[-1]
    assert said.startswith("zoo: interrupted")
    again = shlex.split(said.partition("resume with: ")[2])
    assert zoo(*again[1:]).code == 0


# In processes of their own


@pytest.fixture
def start():
    """Start a run in another process; it is killed at the end of the test."""
    commands = []

    def run(out, *more):
        commands.append(Command("train", *SMALL, "--out", out, *more))
        return commands[-1]

    yield run
    for command in commands:
        command.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_was_ended_goes_on_in_another(number, start, zoo, tmp_path):
    run = tmp_path / "run"
    command = start(run, "--epochs", 200, "--set", "save_every=3")
    assert any(line.startswith("step 7/") for line in command.err)  # waits for it
    os.kill(command.process.pid, number)
    code, _, said = command.end()
    if number == signal.SIGTERM:
        assert code == 75
        assert "--resume" in said.splitlines()[-1]
        assert "Traceback" not in said
    done = state(run)["step"]
    target = done + 4
    assert (
        zoo("train", *SMALL, "--out", run, "--steps", target, "--set", "save_every=3", "--resume").code == 0
    )
    reference = tmp_path / "reference"
    assert zoo("train", *SMALL, "--out", reference, "--steps", target, "--set", "save_every=3").code == 0
    assert same(state(run), state(reference))
    steps = [line["step"] for line in metrics(run) if "train/loss" in line]
    assert steps == list(range(1, target + 1))
