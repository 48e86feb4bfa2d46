"""A run knows the images that it was trained on, from whatever folder it is asked."""

import json

import numpy as np
import pytest

DATA, USAGE = 3, 2


def write_images(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    np.savez(path, train=rng.integers(0, 2, (40, 8, 8)), test=rng.integers(0, 2, (20, 8, 8)))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch, train):
    """Train on ./images.npz of one folder, and go to another, where other images have that name."""
    write_images(tmp_path / "here" / "images.npz", seed=0)
    write_images(tmp_path / "there" / "images.npz", seed=1)
    monkeypatch.chdir(tmp_path / "here")
    outcome = train(tmp_path / "run", "--set", "data=images.npz")
    assert outcome.code == 0, outcome.err
    monkeypatch.chdir(tmp_path / "there")
    return tmp_path


def test_the_images_meant_are_found_from_another_folder(elsewhere, zoo):
    config = json.loads((elsewhere / "run" / "config.json").read_text())
    assert config["options"]["data"] == str(elsewhere / "here" / "images.npz")
    assert config["images"]["protocol"].startswith(f"{elsewhere}/here/images.npz (40 train, 0 validation")
    outcome = zoo("evaluate", elsewhere / "run", "--samples", 2, "--json", elsewhere / "figures.json")
    assert outcome.code == 0, outcome.err
    assert config["images"]["protocol"] in outcome.out
    assert json.loads((elsewhere / "figures.json").read_text())["protocol"] == config["images"]["protocol"]


@pytest.mark.parametrize(
    "command", ["evaluate {run}", "reconstruct {run} --out x.png", "train vae_digits --resume --out {run}"]
)
def test_images_that_have_changed_are_refused(elsewhere, zoo, command):
    write_images(elsewhere / "here" / "images.npz", seed=2)
    outcome = zoo(*command.format(run=elsewhere / "run").split())
    assert outcome.code == DATA
    assert "images: expected the images that the run was trained on" in outcome.err
    assert outcome.err.count("\n") == 1


def test_annealing_on_the_command_line(trained, tmp_path, zoo):
    settings = ("--method", "ais", "--chains", 3, "--steps", 4, "--leapfrog", 1, "--images", 5)
    for start in ("prior", "guide"):
        outcome = zoo("evaluate", trained, *settings, "--start", start, "--json", tmp_path / "ais.json")
        assert outcome.code == 0, outcome.err
        assert "log p(x), annealed" in outcome.out
    figures = json.loads((tmp_path / "ais.json").read_text())
    assert (figures["chains"], figures["steps"], figures["leapfrog"], figures["images"]) == (3, 4, 1, 5)
    assert figures["annealed_bound"] <= figures["log_likelihood"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--chains 3", "--chains is for --method ais; got --method importance"),
        ("--method ais --samples 3", "--samples is for --method importance; got --method ais"),
        ("--method ais --chains 0", "--chains: expected an integer >= 1; got 0"),
        ("--method ais --images 0", "--images: expected an integer >= 1"),
    ],
)
def test_options_of_the_other_method_are_refused(trained, zoo, options, message):
    outcome = zoo("evaluate", trained, *options.split())
    assert outcome.code == USAGE
    assert message in outcome.err
