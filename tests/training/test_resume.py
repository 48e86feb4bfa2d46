"""A run that was ended and is resumed is the run that was not ended, bit for bit."""

import os
import shutil
import signal

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import zoo
from tests.training import runs
from zoo.errors import CheckpointError, Interrupted, UsageError
from zoo.training.checkpoint import save_checkpoint
from zoo.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the run that was not ended."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    runs.fit_digits(folder)
    return folder


def assert_same_run(folder, whole):
    assert runs.same(runs.state(folder), runs.state(whole))
    assert runs.metrics(folder) == runs.metrics(whole)
    assert events(folder) == events(whole)


def events(folder):
    """The scalars that TensorBoard shows, without the speed."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    tags = [tag for tag in accumulator.Tags()["scalars"] if "per_second" not in tag]
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in tags}


def test_the_metrics_are_a_line_a_step(whole):
    lines = runs.metrics(whole)
    assert [line["step"] for line in lines if "train/loss" in line] == list(range(1, runs.STEPS + 1))
    assert [line["step"] for line in lines if "validation/noise" in line] == [4, 8, 12]


KILLS = {
    "in the first step": (runs.die_in_step, 1, {}),
    "in the second step": (runs.die_in_step, 2, {}),
    "in the middle": (runs.die_in_step, 7, {"save_every": 3}),
    "in the last step": (runs.die_in_step, 12, {"save_every": 5}),
    "before the first checkpoint": (runs.die_in_step, 3, {"save_every": 5}),
    "before the first rename": (runs.die_in_rename, 1, {}),
    "before a rename": (runs.die_in_rename, 6, {}),
    "between two renames": (runs.die_in_rename, 7, {}),
    "after a rename": (runs.die_in_rename, 9, {"after": True}),
    "when a step is logged": (runs.die_after_log, 6, {}),
    "when an epoch's last step is logged": (runs.die_after_log, 8, {}),
    "when an epoch is logged": (runs.die_in_callback, 2, {}),
    "when the last epoch is logged": (runs.die_in_callback, 3, {"save_every": 5}),
}


@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_run_goes_on_as_if_nothing_had_been(moment, whole, tmp_path):
    kill, when, options = KILLS[moment]
    assert runs.in_process(kill, tmp_path / "run", when, **options) == -signal.SIGKILL
    runs.fit_digits(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_run_killed_again_and_again_ends_the_same(whole, tmp_path):
    for step in (2, 1, 4, 3):  # of each life
        assert runs.in_process(runs.die_in_step, tmp_path / "run", step) == -signal.SIGKILL
    runs.fit_digits(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_signal_ends_the_run_after_the_step(number, step, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        runs.signal_in_step(patch, step, number)
        with pytest.raises(Interrupted, match=f"at step {step} of {runs.STEPS}"):
            runs.fit_digits(tmp_path / "run", save_every=None)
    assert runs.state(tmp_path / "run")["step"] == step
    runs.fit_digits(tmp_path / "run", save_every=None)
    assert_same_run(tmp_path / "run", whole)


def test_a_signal_in_the_last_step_is_heeded_too(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        runs.signal_in_step(patch, runs.STEPS, signal.SIGTERM)
        with pytest.raises(Interrupted):
            runs.fit_digits(tmp_path / "run")
    assert runs.fit_digits(tmp_path / "run").step == runs.STEPS
    assert_same_run(tmp_path / "run", whole)


def test_a_second_interrupt_ends_at_once(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        runs.signal_in_step(patch, 3, signal.SIGINT, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as caught:
            runs.fit_digits(tmp_path / "run")
    assert not isinstance(caught.value, Interrupted)
    runs.fit_digits(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_signals_are_handled_as_before_when_the_run_is_over(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    runs.fit_digits(None, epochs=1)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


class Noisy(Dataset):
    """Images that draw noise when they are fetched."""

    def __init__(self):
        self.x = next(iter(runs.digits(runs.IMAGES).epoch(0)))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return torch.where(torch.rand(1, 8, 8) < 0.1, 1 - self.x[i], self.x[i])


def test_a_shuffling_noisy_data_loader_goes_on_as_well(tmp_path, monkeypatch):
    loader = DataLoader(Noisy(), batch_size=2, shuffle=True)
    runs.fit_digits(tmp_path / "whole", data=loader)
    with monkeypatch.context() as patch:
        runs.signal_in_step(patch, 8, signal.SIGTERM)
        with pytest.raises(Interrupted):
            runs.fit_digits(tmp_path / "run", data=loader)
    runs.fit_digits(tmp_path / "run", data=loader)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("limit", [{"epochs": 2}, {"steps": 6}, {"steps": 3}, {"steps": 8}])
def test_a_finished_run_stays_as_it_is(limit, tmp_path):
    first = runs.fit_digits(tmp_path / "run", **limit)
    before = runs.state(tmp_path / "run"), runs.metrics(tmp_path / "run")
    again = runs.fit_digits(tmp_path / "run", **limit)
    assert again.step == first.step
    assert runs.same((runs.state(tmp_path / "run"), runs.metrics(tmp_path / "run")), before)


def test_a_finished_run_asked_for_less_stays_as_it_is(tmp_path):
    runs.fit_digits(tmp_path / "run", steps=6)
    assert runs.fit_digits(tmp_path / "run", steps=3).step == 6


def test_a_finished_run_goes_on_to_more_epochs(whole, tmp_path):
    runs.fit_digits(tmp_path / "run", epochs=1)
    runs.fit_digits(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_damaged_checkpoint_costs_one_checkpoint(whole, tmp_path):
    runs.fit_digits(tmp_path / "run", epochs=2, save_every=3)
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="resuming from"):
        runs.fit_digits(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_lost_checkpoint_costs_one_checkpoint(whole, tmp_path):
    runs.fit_digits(tmp_path / "run", epochs=2)
    (tmp_path / "run" / "checkpoints" / "last.pt").unlink()
    with pytest.warns(RuntimeWarning, match="resuming from"):
        runs.fit_digits(tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_run_that_lost_its_checkpoints_is_refused_and_left_as_it_is(tmp_path):
    runs.fit_digits(tmp_path / "run", steps=5)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    before = runs.metrics(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"expected .*checkpoints"):
        runs.fit_digits(tmp_path / "run")
    assert runs.metrics(tmp_path / "run") == before


@pytest.mark.parametrize("key", ["loss", "average", "optimizer", "step", "start", "best"])
def test_a_checkpoint_with_something_else_in_it_is_refused(key, tmp_path):
    runs.fit_digits(tmp_path / "run", steps=1)
    sound = runs.state(tmp_path / "run")
    for value in ("text", [1, 2], {"a": 1}):
        save_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt", {**sound, key: value})
        with pytest.raises(CheckpointError) as error:
            runs.fit_digits(tmp_path / "run")
        assert "\n" not in str(error.value)


def test_a_resumed_run_takes_another_learning_rate_and_clip(tmp_path):
    runs.fit_digits(tmp_path / "run", epochs=1)
    runs.fit_digits(tmp_path / "run", epochs=2, learning_rate=1e-6, clip=1e-9)
    rates = [line["train/learning_rate"] for line in runs.metrics(tmp_path / "run") if "train/loss" in line]
    assert rates[4:] == pytest.approx([1e-6 * 0.9**step for step in range(4, 8)])
    assert rates[:4] == pytest.approx([2e-3 * 0.9**step for step in range(4)])


def test_a_checkpoint_of_another_model_is_refused_and_kept(tmp_path):
    runs.fit_digits(tmp_path / "run", steps=2)
    before = runs.state(tmp_path / "run")
    system = zoo.build("vae_digits", **{**runs.SIZES, "latent": 3})
    run = RunFolder.open(tmp_path / "run")
    with pytest.raises(CheckpointError, match="another model"):
        zoo.fit(system.model, system.guide, zoo.ELBO(), runs.digits(), run=run, resume=True, ema=0.8)
    assert runs.same(runs.state(tmp_path / "run"), before)


def test_two_runs_do_not_share_a_folder(tmp_path):
    runs.fit_digits(tmp_path / "run", steps=1)
    before = runs.state(tmp_path / "run")
    with RunFolder.open(tmp_path / "run").lock(), pytest.raises(UsageError, match=str(os.getpid())):
        runs.fit_digits(tmp_path / "run")
    assert runs.same(runs.state(tmp_path / "run"), before)
    assert runs.fit_digits(tmp_path / "run").step == runs.STEPS
