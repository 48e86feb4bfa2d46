"""The epoch that a run is evaluated with: its last, or the best that a callback has told of."""

import math
import signal

import pytest

from tests.training import runs
from zoo.errors import CheckpointError, Interrupted, UsageError
from zoo.training.checkpoint import load_checkpoint, save_checkpoint


class Figures:
    """A callback that offers these figures, an epoch each, and remembers the parameters."""

    def __init__(self, *figures):
        self.figures, self.seen = figures, {}

    def __call__(self, trainer):
        epoch = trainer.step // len(trainer.batches)
        state = trainer.evaluated.state_dict()
        self.seen[epoch] = {name: value.clone() for name, value in state.items()}
        trainer.offer(self.figures[epoch - 1])


def fit(folder, *figures, **changes):
    told = Figures(*figures)
    changes = {"choose": "best", "epochs": len(figures), "save_every": None, **changes}
    return runs.fit_digits(folder, callbacks=[told], **changes), told.seen


def best(folder):
    return load_checkpoint(folder / "checkpoints" / "best.pt")


@pytest.mark.parametrize(
    ("figures", "epoch", "ema"),
    [((1.0, 3.0, 2.0), 2, 0.8), ((3.0, 2.0, 1.0), 1, 0.0), ((-9.0, -8.0, -7.0), 3, 0.8)],
)
def test_the_best_epoch_is_evaluated_and_no_worse_one_replaces_it(figures, epoch, ema, tmp_path):
    result, seen = fit(tmp_path / "run", *figures, ema=ema)
    saved = best(tmp_path / "run")
    assert (saved["best"], saved["step"]) == (max(figures), epoch * runs.IMAGES // runs.BATCH)
    assert runs.same(dict(saved["loss"]), seen[epoch])
    assert runs.same(dict(result.evaluated.state_dict()), seen[epoch])
    assert result.step == runs.STEPS


def test_the_trained_parameters_are_the_last_whatever_is_chosen(tmp_path):
    chosen, _ = fit(tmp_path / "best", 2.0, 1.0, 0.0)
    last, _ = fit(tmp_path / "last", 2.0, 1.0, 0.0, choose="last")
    assert runs.same(dict(chosen.loss.state_dict()), dict(last.loss.state_dict()))
    assert not runs.same(dict(chosen.evaluated.state_dict()), dict(last.evaluated.state_dict()))
    assert not (tmp_path / "last" / "checkpoints" / "best.pt").exists()
    assert runs.state(tmp_path / "last")["best"] is None


@pytest.mark.parametrize("figures", [(1.0, 1.0, 1.0), (1.0, math.nan, -math.inf)])
def test_an_equal_figure_or_none_is_no_better(figures, tmp_path):
    fit(tmp_path / "run", *figures)
    assert best(tmp_path / "run")["step"] == 4


def test_a_figure_that_is_no_number_is_never_the_best(tmp_path):
    fit(tmp_path / "run", math.nan, 1.0)
    assert best(tmp_path / "run")["best"] == 1.0


@pytest.mark.parametrize(
    ("figures", "step"),
    [
        pytest.param((1.0, 3.0, 2.0), 3, id="ended before any figure"),
        pytest.param((3.0, 1.0, 2.0), 6, id="ended when the best is known"),
        pytest.param((1.0, 3.0, 2.0), 6, id="ended before the best"),
        pytest.param((1.0, 3.0, 2.0), 11, id="ended when a worse one is to come"),
        pytest.param((1.0, 2.0, 3.0), 11, id="ended when a better one is to come"),
    ],
)
def test_a_run_that_goes_on_keeps_the_best_so_far(step, figures, tmp_path, monkeypatch):
    whole, _ = fit(tmp_path / "whole", *figures)
    with monkeypatch.context() as patch:
        runs.signal_in_step(patch, step, signal.SIGTERM)
        with pytest.raises(Interrupted):
            fit(tmp_path / "run", *figures)
    result, _ = fit(tmp_path / "run", *figures)
    assert runs.same(best(tmp_path / "run"), best(tmp_path / "whole"))
    assert runs.same(runs.state(tmp_path / "run"), runs.state(tmp_path / "whole"))
    assert runs.same(dict(result.evaluated.state_dict()), dict(whole.evaluated.state_dict()))


def die_after_offering(folder, figures, epoch):
    """Train, and be killed when the best checkpoint of an epoch is written and the last one is not."""
    told = Figures(*figures)

    def deadly(trainer):
        told(trainer)
        if trainer.step == epoch * len(trainer.batches):
            runs.die()

    runs.fit_digits(folder, callbacks=[deadly], choose="best", epochs=len(figures), save_every=None)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_best_checkpoint_that_is_ahead_of_the_last_is_made_again(epoch, tmp_path):
    """The run starts again from step 0, there being no other checkpoint than the best."""
    figures = (1.0, 3.0, 2.0)
    fit(tmp_path / "whole", *figures)
    assert runs.in_process(die_after_offering, tmp_path / "run", figures, epoch) == -signal.SIGKILL
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("*.pt"))[0].startswith("best")
    fit(tmp_path / "run", *figures)
    assert runs.same(best(tmp_path / "run"), best(tmp_path / "whole"))
    assert runs.same(runs.state(tmp_path / "run"), runs.state(tmp_path / "whole"))


def test_a_damaged_best_checkpoint_costs_one(tmp_path):
    _, seen = fit(tmp_path / "run", 1.0, 2.0, 3.0)
    path = tmp_path / "run" / "checkpoints" / "best.pt"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning, match=r"best\.previous\.pt"):
        again, _ = fit(tmp_path / "run", 1.0, 2.0, 3.0)
    assert runs.same(dict(again.evaluated.state_dict()), seen[2])


def test_a_lost_best_checkpoint_is_told_of(tmp_path):
    fit(tmp_path / "run", 1.0, 2.0)
    for path in (tmp_path / "run" / "checkpoints").glob("best*"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"best\.pt"):
        fit(tmp_path / "run", 1.0, 2.0)


def test_a_run_that_ends_within_its_first_epoch_is_evaluated_as_it_is(tmp_path):
    chosen, last = (fit(tmp_path / choose, 1.0, steps=2, choose=choose)[0] for choose in ("best", "last"))
    assert runs.same(dict(chosen.evaluated.state_dict()), dict(last.evaluated.state_dict()))


def test_a_choice_needs_a_folder_and_somebody_who_judges(tmp_path):
    with pytest.raises(UsageError, match=r"choose=.best.*run=RunFolder"):
        fit(None, 1.0)
    with pytest.raises(UsageError, match=r"callbacks="):
        runs.fit_digits(tmp_path / "run", callbacks=[], choose="best")
    with pytest.raises(UsageError, match="choose to be one of last, best"):
        runs.fit_digits(None, choose="first")


def test_states_of_before_there_was_a_choice_go_on(tmp_path):
    runs.fit_digits(tmp_path / "run", epochs=1)
    old = {k: v for k, v in runs.state(tmp_path / "run").items() if k not in ("start", "best")}
    save_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt", old)
    runs.fit_digits(tmp_path / "run")
    runs.fit_digits(tmp_path / "whole")
    assert runs.same(runs.state(tmp_path / "run"), runs.state(tmp_path / "whole"))
