"""What a step does with its gradient: taken in parts, left out; and which step is the last."""

import math
import signal
import statistics

import pyro
import pytest
import torch

import zoo
from tests.training import runs
from zoo.errors import NonFiniteError
from zoo.training.accumulation import backward


@pytest.mark.parametrize("parts", [2, 3, 20, 50])
def test_a_gradient_in_parts_is_that_of_the_batch(parts):
    """Of twenty images; in float64, sums of twenty and of 64 terms differ by some hundred roundings."""
    torch.manual_seed(0)
    loss = zoo.ELBO()(runs.Mean().double(), runs.Point().double())
    x = torch.rand(20, 1, 8, 8, dtype=torch.float64)
    parameters = list(loss.parameters())
    few = 1000 * torch.finfo(torch.float64).eps

    def taken(parts):
        loss.zero_grad()
        value = backward(loss, loss, x, parts=parts)
        return [value, loss.stats["elbo"], *(p.grad.clone() for p in parameters)]

    for found, expected in zip(taken(parts), taken(1), strict=True):
        scale = expected.abs().max().item()
        torch.testing.assert_close(found, expected, rtol=few, atol=few * scale)
        assert scale > 0


def test_two_processes_with_two_parts_train_as_one(tmp_path):
    joined = runs.together(runs.fit_points_of, tmp_path / "meeting", tmp_path, accumulate=2)
    assert joined == [0, 0]
    alone = runs.fit_points().loss.state_dict()
    for name, value in torch.load(tmp_path / "1.pt", weights_only=True).items():
        torch.testing.assert_close(value, alone[name], rtol=1e-5, atol=1e-5)


def test_a_step_whose_gradient_is_too_large_changes_nothing(tmp_path):
    runs.fit_digits(tmp_path / "run", steps=4)
    before = runs.state(tmp_path / "run")
    runs.fit_digits(tmp_path / "run", steps=9, skip_above=1e-9)
    after = runs.state(tmp_path / "run")
    assert int(after["skip"]["in_a_row"]) == 5
    assert runs.same(dict(after["loss"]), dict(before["loss"]))
    assert runs.same(after["average"], before["average"])
    assert runs.same(after["optimizer"]["state"], before["optimizer"]["state"])
    skipped = [line.get("train/skipped") for line in runs.metrics(tmp_path / "run") if "train/loss" in line]
    assert skipped == [None] * 4 + [1.0] * 5


def test_a_run_with_everything_is_resumed_to_the_bit(tmp_path):
    recipe = {
        **{"optimizer": "adamw", "betas": (0.9, 0.9), "weight_decay": 0.01, "learning_rate_warmup": 3},
        **{"cosine": True, "learning_rate_decay": 1.0, "learning_rate_floor": 1e-4, "accumulate": 2},
        **{"clip": 40.0, "patience": 2},
    }
    free, whole, run = (tmp_path / name for name in ("free", "whole", "run"))
    runs.fit_digits(free, **recipe)
    norms = [line["train/gradient_norm"] for line in runs.metrics(free) if "train/loss" in line]
    recipe["skip_above"] = statistics.median(norms)
    runs.fit_digits(whole, **recipe)
    skipped = {line["train/skipped"] for line in runs.metrics(whole) if "train/skipped" in line}
    assert skipped == {0.0, 1.0}
    assert runs.in_process(runs.die_in_step, run, 3, **recipe) == -signal.SIGKILL
    runs.fit_digits(run, **recipe)
    assert runs.same(runs.state(run), runs.state(whole))
    assert runs.metrics(run) == runs.metrics(whole)


class Spoilt(runs.Mean):
    """A model whose likelihood is not a number in some of its runs."""

    def __init__(self, *spoilt):
        super().__init__()
        self.spoilt, self.run = spoilt, 0

    def forward(self, x):
        super().forward(x)
        self.run += 1
        factor = math.nan if self.run in self.spoilt else 0.0
        with zoo.batch_plate():
            pyro.factor("spoilt", factor * self.decode.weight.sum() * x.new_ones(len(x)))


def fit_spoilt(*spoilt, **changes):
    model = Spoilt(*spoilt)
    result = zoo.fit(model, runs.Point(), zoo.ELBO(), torch.rand(20, 1, 8, 8), batch_size=10, **changes)
    return all(value.isfinite().all() for value in result.loss.state_dict().values())


def test_a_gradient_that_is_no_number_is_left_out_where_large_ones_are():
    with pytest.raises(NonFiniteError):
        fit_spoilt(3, steps=6)
    assert fit_spoilt(3, 5, steps=6, skip_above=1e9)


def test_gradients_that_are_never_a_number_end_the_run():
    with pytest.raises(NonFiniteError, match="at step 103"):
        fit_spoilt(*range(3, 200), steps=150, skip_above=1e9)


# Early stopping


def fit_to(folder, figures, **changes):
    """A run of as many epochs of one step as there are figures, an epoch each."""

    def offer(trainer):
        trainer.offer(figures[trainer.step // len(trainer.batches) - 1])

    changes = {"epochs": len(figures), "patience": 2, "save_every": None, **changes}
    return runs.fit_digits(folder, data=runs.digits(runs.BATCH), callbacks=[offer], **changes).step


CURVES = {
    "that rises": ([1.0, 2.0, 3.0, 4.0], 4),
    "that falls": ([4.0, 3.0, 2.0, 1.0], 3),
    "that is level": ([1.0, 1.0, 1.0, 1.0], 3),
    "that rises again in time": ([2.0, 1.0, 3.0, 2.0, 1.0, 9.0], 5),
    "of no number": ([math.nan, math.nan, 1.0], 2),
}


@pytest.mark.parametrize("curve", CURVES)
def test_a_run_ends_when_its_curve_has_not_risen_for_so_many_epochs(curve):
    figures, epochs = CURVES[curve]
    assert fit_to(None, figures) == epochs
    assert fit_to(None, figures, patience=None) == len(figures)


def test_a_stopped_run_stays_so_until_it_has_more_patience(tmp_path):
    figures = [3.0, 2.0, 1.0, 4.0]
    assert fit_to(tmp_path / "run", figures) == 3
    before = runs.state(tmp_path / "run")
    assert fit_to(tmp_path / "run", figures) == 3
    assert runs.same(runs.state(tmp_path / "run"), before)
    assert fit_to(tmp_path / "run", figures, patience=3) == 4


def test_a_resumed_run_remembers_its_curve(tmp_path):
    figures = [3.0, 2.0, 1.0, 0.0]
    assert fit_to(tmp_path / "run", figures, epochs=2) == 2
    assert fit_to(tmp_path / "run", figures) == 3
