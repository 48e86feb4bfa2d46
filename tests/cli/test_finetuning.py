"""`zoo finetune`: a run continues another without free bits; and the choice of the epoch."""

import json
import shlex
import shutil
import signal

import numpy as np
import pytest

import zoo as package
from tests.cli.conftest import call
from tests.training.runs import metrics, same, signal_in_step, state
from zoo.experiments import find
from zoo.runs.finetuning import finetuned
from zoo.training.checkpoint import load_checkpoint

SETTINGS = (
    *("--set", "channels=4", "--set", "latent=3", "--set", "strides=2"),
    *("--set", "log_every=1", "--set", "ema=0.9"),
    *("--set", "learning_rate=5e-3", "--set", "learning_rate_decay=0.9", "--set", "warmup=8"),
)
CUT = ("--samples", 2, "--images", 5)
SMALL = ("vae_digits", "--batch-size", 100, "--seed", 4, *CUT, *SETTINGS)
FREE = ("--set", "free_bits=9")
BEGAN, MORE = 17, 4  # steps; an epoch has 14


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run with free bits that ended within its second epoch; not to be changed."""
    run = tmp_path_factory.mktemp("source") / "run"
    outcome = call("train", *SMALL, *FREE, "--out", run, "--steps", BEGAN)
    assert outcome.code == 0, outcome.err
    return run


@pytest.fixture(scope="module")
def tuned(source, tmp_path_factory):
    """Its finetuning, which was not ended."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    outcome = call("finetune", source, "--out", out, "--steps", MORE, *CUT)
    assert outcome.code == 0, outcome.err
    return out


def config(run):
    return json.loads((run / "config.json").read_text())


def training(run):
    return [line for line in metrics(run) if "train/loss" in line]


def test_it_goes_on_from_the_very_state_without_free_bits(zoo, source, tuned, tmp_path):
    """So it ends as the run would have, had its free bits ended there: parameters, average and moments."""
    whole = tmp_path / "whole"
    ended = ("--set", f"free_bits_steps={BEGAN}")
    assert zoo("train", *SMALL, *FREE, *ended, "--out", whole, "--steps", BEGAN + MORE).code == 0
    assert training(tuned) == training(whole)[BEGAN:]
    found, expected = state(tuned), state(whole)
    assert found.pop("start") == BEGAN
    assert expected.pop("start") == 0
    assert found.pop("stopping")["highest_at"] == BEGAN  # it has an end of its own
    assert expected.pop("stopping")["highest_at"] != BEGAN
    assert same(found, expected)
    rates = [line["train/learning_rate"] for line in training(tuned)]
    assert rates == pytest.approx([5e-3 * 0.9**step for step in range(BEGAN, BEGAN + MORE)])


def test_free_bits_were_at_work_before(zoo, source, tuned):
    first = training(source)[0]
    assert first["train/loss"] > -first["train/elbo"] + 0.5
    for line in training(tuned):
        assert line["train/loss"] == pytest.approx(-line["train/elbo"], rel=1e-5)


def test_the_other_run_stays_as_it_is(zoo, source, hashes, tmp_path):
    before = hashes(source)
    assert zoo("finetune", source, "--out", tmp_path / "run", "--steps", 1, *CUT).code == 0
    assert hashes(source) == before


def test_its_folder_is_one_of_a_run(zoo, source, tuned):
    assert config(tuned)["finetuned_from"] == str(source)
    assert config(tuned)["seed"] == 4
    options = config(tuned)["options"]
    assert (options["free_bits"], options["free_bits_steps"], options["steps"]) == (0.0, None, MORE)
    assert options["learning_rate"] == config(source)["options"]["learning_rate"]
    assert {path.name for path in (tuned / "pictures").iterdir()} >= {"samples.png", "kl.png"}
    outcome = zoo("evaluate", tuned, "--samples", 2, "--images", 5)
    assert outcome.code == 0
    assert "test ELBO" in outcome.out


def test_beside_the_other_by_default_for_a_tenth_of_its_epochs(zoo, tmp_path):
    run, out = tmp_path / "run", tmp_path / "run-finetuned"
    assert zoo("train", *SMALL, *FREE, "--out", run, "--epochs", 1).code == 0
    assert zoo("finetune", run, *CUT).code == 0
    assert (state(out)["start"], state(out)["step"]) == (14, 28)
    lines = [line for line in metrics(out) if "validation/elbo" in line]
    assert [line["step"] for line in lines] == [28]


@pytest.mark.parametrize(
    ("limit", "share"),
    [({"epochs": 120}, (12, None)), ({"epochs": 101}, (11, None)), ({"steps": 15}, (10, 2))],
)
def test_the_tenth_is_rounded_up(limit, share):
    experiment = find("vae_digits").override({"epochs": 100, **limit})
    found = finetuned(experiment, {})
    assert (found.option("epochs"), found.option("steps")) == share


@pytest.mark.parametrize("step", [BEGAN + 1, BEGAN + 3])
def test_a_finetuning_that_was_ended_goes_on(step, zoo, source, tuned, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        signal_in_step(patch, step, signal.SIGTERM)
        outcome = zoo("finetune", source, "--out", out, "--steps", MORE, *CUT)
    assert outcome.code == 75
    again = shlex.split(outcome.err.splitlines()[-1].partition("resume with: ")[2])
    assert again[1] == "finetune"
    assert zoo(*again[1:]).code == 0
    assert same(state(out), state(tuned))
    assert metrics(out) == metrics(tuned)


@pytest.mark.parametrize("moment", ["before its first step is saved", "before it has a checkpoint"])
def test_a_finetuning_killed_at_its_start_starts_there_again(
    moment, zoo, source, tuned, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        signal_in_step(patch, BEGAN + 2, signal.SIGINT, signal.SIGINT)
        assert zoo("finetune", source, "--out", out, "--steps", MORE, *CUT).code == 130
    assert state(out)["step"] == BEGAN
    if moment == "before it has a checkpoint":
        shutil.rmtree(out / "checkpoints")
    assert zoo("finetune", source, "--out", out, *CUT, "--resume").code == 0
    assert same(state(out), state(tuned))
    assert metrics(out) == metrics(tuned)


def test_a_finished_finetuning_goes_on_to_more_steps(zoo, source, tuned, tmp_path):
    out = tmp_path / "run"
    assert zoo("finetune", source, "--out", out, "--steps", 1, *CUT).code == 0
    assert zoo("finetune", source, "--out", out, "--steps", MORE, *CUT, "--resume").code == 0
    assert same(state(out), state(tuned))


def test_a_finetuning_can_be_finetuned(zoo, tuned, tmp_path):
    assert zoo("finetune", tuned, "--out", tmp_path / "run", "--steps", 2, *CUT).code == 0
    assert (state(tmp_path / "run")["start"], state(tmp_path / "run")["step"]) == (
        BEGAN + MORE,
        BEGAN + MORE + 2,
    )


def test_options_that_are_given_go_before_the_recipe(zoo, source, tmp_path):
    chosen = ("--set", "free_bits=0.5", "--set", "learning_rate=1e-3", "--set", "batch_size=50")
    outcome = zoo("finetune", source, "--out", tmp_path / "run", "--steps", 1, *chosen, *CUT)
    assert outcome.code == 0, outcome.err
    options = config(tmp_path / "run")["options"]
    assert (options["free_bits"], options["learning_rate"], options["batch_size"]) == (0.5, 1e-3, 50)


NEW = ("{run}", "--out", "{place}/new")
MISTAKES = {
    "no run": (("{place}/none",), 2, "expected a run"),
    "a run that is there": (("{run}", "--out", "{run}"), 2, "--out"),
    "another model": ((*NEW, "--set", "latent=5"), 2, "latent was 3"),
    "another optimiser": ((*NEW, "--set", "optimizer=adam"), 2, "optimizer was adamax"),
    "no average": ((*NEW, "--set", "ema=0"), 2, "ema was 0.9"),
    "both limits": ((*NEW, "--epochs", 1, "--steps", 1), 2, "not allowed with"),
    "no epochs": ((*NEW, "--epochs", 0), 2, "epochs >= 1"),
    "an unknown option": ((*NEW, "--set", "latents=3"), 2, "did you mean latent"),
    "to go on with what is none": (("{run}", "--out", "{run}", "--resume"), 2, "no finetuning"),
    "images of another shape": ((*NEW, "--set", "data={place}/x.npz"), 4, "another model"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(name, zoo, source, hashes, tmp_path):
    np.savez(tmp_path / "x.npz", np.arange(60 * 144, dtype=np.uint8).reshape(60, 12, 12))
    arguments, code, said = MISTAKES[name]
    before = hashes(source.parent), hashes(tmp_path)
    outcome = zoo("finetune", *(str(part).format(run=source, place=tmp_path) for part in arguments))
    assert outcome.code == code, outcome.err
    assert outcome.err.count("\n") == 1
    assert said in outcome.err
    assert (hashes(source.parent), hashes(tmp_path)) == before


def test_another_runs_finetuning_is_not_gone_on_with(zoo, source, tuned, tmp_path):
    other = shutil.copytree(source, tmp_path / "other")
    outcome = zoo("finetune", other, "--out", tuned, "--resume", "--steps", MORE, *CUT)
    assert outcome.code == 2
    assert f"finetuned from {source}" in outcome.err


@pytest.mark.parametrize("damage", ["none", "damaged"])
def test_a_run_without_a_good_checkpoint_is_told_of_before_anything_is_written(damage, zoo, source, tmp_path):
    run = shutil.copytree(source, tmp_path / "run")
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1]) if damage == "damaged" else path.unlink()
    outcome = zoo("finetune", run, "--out", tmp_path / "out", *CUT)
    assert outcome.code == 4
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


# The epoch that is chosen


@pytest.fixture
def elbos(monkeypatch):
    """Let the validation ELBOs be these, an epoch each."""

    def of(*values):
        told = iter(values)
        monkeypatch.setattr("zoo.runs.monitor.mean_elbo", lambda loss, x: next(told))

    return of


def test_the_best_epoch_by_validation_is_what_a_run_is(zoo, elbos, tmp_path):
    run = tmp_path / "run"
    elbos(-30.0, -20.0, -25.0)
    outcome = zoo("train", *SMALL, "--out", run, "--epochs", 3, "--set", "choose=best")
    assert outcome.code == 0, outcome.err
    chosen = load_checkpoint(run / "checkpoints" / "best.pt")
    assert (chosen["step"], chosen["best"]) == (28, -20.0)
    assert same(dict(package.load(run).loss().state_dict()), dict(chosen["loss"]))
    elbos(-30.0, -20.0)
    ended = tmp_path / "ended"
    assert zoo("train", *SMALL, "--out", ended, "--epochs", 2).code == 0
    tests = [metrics(folder)[-1]["test/elbo"] for folder in (run, ended)]
    assert tests[0] == tests[1]  # the evaluation of the whole run is that of the run of two epochs


def test_finetuning_chooses_an_epoch_of_its_own(zoo, elbos, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    elbos(-10.0)
    assert zoo("train", *SMALL, *FREE, "--out", run, "--epochs", 1, "--set", "choose=best").code == 0
    elbos(-30.0, -40.0)
    assert zoo("finetune", run, "--out", out, "--epochs", 2, *CUT).code == 0
    assert load_checkpoint(out / "checkpoints" / "best.pt")["step"] == 28
    assert load_checkpoint(run / "checkpoints" / "best.pt")["best"] == -10.0


def test_a_choice_needs_validation_images(zoo, tmp_path):
    run = tmp_path / "run"
    outcome = zoo("train", *SMALL, "--out", run, "--set", "choose=best", "--set", "validation=0")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "validation" in outcome.err
    assert not run.exists()


def test_the_layout_of_the_charts_is_written_once(zoo, source, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.custom_scalar import layout_pb2

    run = shutil.copytree(source, tmp_path / "run")
    settings = (*SMALL, *FREE, "--out", run, "--steps", BEGAN + 1, "--resume")
    assert zoo("train", *settings).code == 0
    events = EventAccumulator(str(run)).Reload()
    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    tags = {chart.title: list(chart.multiline.tag) for c in layout.category for chart in c.chart}
    assert tags["KL of every latent variable, nats"] == ["train/kl/.*"]
    assert events.Scalars("train/kl/z")
