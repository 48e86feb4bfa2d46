"""Semi-supervised systems at the command line: they train, resume, evaluate and report their error."""

import json

import numpy as np
import pytest
import torch

import zoo
from tests.cli.conftest import call
from tests.training.runs import metrics, same, state

TINY_BIVA = (
    *("biva_semi_digits", "--batch-size", 200, "--samples", 2, "--images", 30, "--seed", 4),
    *("--set", "filters=2", "--set", "latents=2,2", "--set", "labels=20", "--set", "log_every=1"),
)
TINY = (
    *("sdgm_digits", "--batch-size", 100, "--samples", 2, "--images", 30, "--seed", 4),
    *("--set", "hidden=8", "--set", "latent=2", "--set", "auxiliary=2", "--set", "log_every=1"),
    *("--set", "labels=20", "--set", "labelled_batch=10", "--set", "binarize=dynamic"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two epochs that was not ended."""
    run = tmp_path_factory.mktemp("whole") / "run"
    outcome = call("train", *TINY, "--out", run, "--epochs", 2)
    assert outcome.code == 0, outcome.err
    return run, outcome


def test_training_ends_with_the_likelihood_and_the_error(whole):
    run, outcome = whole
    assert "log p(x), K=2" in outcome.out
    assert "error rate" in outcome.out
    assert "(30 images;" in outcome.out
    logged = metrics(run)
    for key in ("train/accuracy", "train/cross_entropy", "train/kl/y", "train/labelled_elbo"):
        assert any(key in line for line in logged)
    assert any("validation/error_rate" in line for line in logged)
    assert 0 <= logged[-1]["test/error_rate"] <= 1


def test_a_run_that_was_ended_goes_on_to_the_same_bits(whole, zoo, tmp_path):
    run = tmp_path / "run"
    assert zoo("train", *TINY, "--out", run, "--steps", 9).code == 0
    assert zoo("train", *TINY, "--out", run, "--epochs", 2, "--set", "steps=none", "--resume").code == 0
    assert same(state(run), state(whole[0]))


def test_evaluation_agrees_with_the_end_of_training(whole, zoo, tmp_path):
    run, outcome = whole
    figures = tmp_path / "figures.json"
    again = zoo("evaluate", run, "--samples", 2, "--images", 30, "--seed", 4, "--json", figures)
    line = next(line for line in outcome.out.splitlines() if line.startswith("error rate"))
    assert line in again.out
    found = json.loads(figures.read_text())
    assert found["error_rate"] == metrics(run)[-1]["test/error_rate"]
    assert {"elbo", "log_likelihood", "cross_entropy", "error_rate_stderr"} <= set(found)


def test_samples_and_reconstructions_are_drawn(whole, zoo, tmp_path):
    for command in ("sample", "reconstruct"):
        picture = tmp_path / f"{command}.png"
        assert zoo(command, whole[0], "-n", 4, "--out", picture).code == 0
        assert picture.stat().st_size


def test_biva_with_a_label_trains(zoo, tmp_path):
    outcome = zoo("train", *TINY_BIVA, "--out", tmp_path / "run", "--steps", 2)
    assert outcome.code == 0, outcome.err
    assert "error rate" in outcome.out


def test_other_systems_tell_no_error(zoo, tmp_path):
    small = ("vae_digits", "--set", "channels=2", "--set", "latent=2", "--steps", 1)
    outcome = zoo("train", *small, "--out", tmp_path / "run", "--samples", 2, "--images", 10)
    assert outcome.code == 0
    assert "error rate" not in outcome.out


MISTAKES = {
    "no multiple": (("--set", "labels=25"), 3, "each of the 10 classes"),
    "too many": (("--set", "labels=2000"), 3, "at most"),
    "none": (("--set", "labels=0"), 2, "labels >= 1; got 0"),
    "other classes": (("--set", "classes=7", "--set", "labels=14"), 3, "set classes=10"),
    "one class": (("--set", "classes=1"), 2, "classes >= 2; got 1"),
    "negative alpha": (("--set", "alpha=-1"), 2, "alpha >= 0, finite; got -1"),
    "an objective of others": (("--set", "k=5"), 2, "unknown option 'k'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name, zoo, tmp_path):
    arguments, code, message = MISTAKES[name]
    outcome = zoo("train", *TINY, "--out", tmp_path / "run", *arguments)
    assert outcome.code == code
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_images_without_labels_are_refused(zoo, tmp_path):
    np.savez(tmp_path / "plain.npz", np.random.default_rng(0).integers(0, 2, (400, 8, 8), dtype=np.uint8))
    outcome = zoo("train", *TINY, "--out", tmp_path / "run", "--set", f"data={tmp_path / 'plain.npz'}")
    assert outcome.code == 3
    assert "expected labels of the training images; it has none" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_trained_m1_is_put_under_m2_and_stays_as_it_is(tmp_path):
    m1, both = tmp_path / "m1", tmp_path / "both"
    sizes = ("--set", "hidden=8", "--set", "latent=3", "--samples", 2, "--images", 20)
    assert call("train", "m1_digits", "--steps", 3, "--out", m1, *sizes).code == 0
    assert call("train", "m1_m2_digits", "--steps", 4, "--out", both, *sizes, "--set", f"m1={m1}").code == 0
    below, above = zoo.load(m1), zoo.load(both)
    pairs = [(below.model.likelihood, above.model.likelihood), (below.guide.head, above.guide.first)]
    for theirs, ours in pairs:
        for name, value in theirs.state_dict().items():
            assert torch.equal(value, ours.state_dict()[name])
    fresh = zoo.build("m1_m2_digits", hidden=8, latent=3).guide.first.state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in below.guide.head.state_dict().items())


@pytest.mark.parametrize("m1", ["nothing", "m2"])
def test_what_is_no_m1_of_these_sizes_is_refused(tmp_path, m1):
    if m1 == "m2":
        call("train", "m2_digits", "--steps", 2, "--out", tmp_path / m1, "--samples", 2, "--images", 9)
    refused = call("train", "m1_m2_digits", "--out", tmp_path / "run", "--set", f"m1={tmp_path / m1}")
    assert refused.code == 2
    assert len(refused.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
