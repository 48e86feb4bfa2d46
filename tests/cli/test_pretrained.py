"""Trained weights by name, on a machine where nothing has been trained."""

import json

import pytest

import zoo as library
from zoo.experiments import find, records
from zoo.experiments.pretrained import located, pretrained
from zoo.runs.run import Run

A_FILE, ALL = 4 * 2**20, 30 * 2**20  # bytes
NAMES = sorted(pretrained())
QUICK = "iwae_digits"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_files_are_small():
    sizes = [path.stat().st_size for path in pretrained().values()]
    assert max(sizes) <= A_FILE
    assert sum(sizes) <= ALL


@pytest.mark.parametrize("name", NAMES)
def test_weights_load_and_say_what_they_reached(name):
    run = Run.open(name)
    assert run.experiment.name == name
    assert run.experiment.image_shape == run.system.image_shape
    written = {(r.command, r.seed): r for r in records.records()}[run.record.command, run.record.seed]
    assert (written.elbo, written.log_likelihood) == (run.record.elbo, run.record.log_likelihood)
    assert "data_root" not in run.weights.config
    find(name).override(run.weights.config["options"])


def test_they_draw_and_are_evaluated(zoo, elsewhere):
    assert zoo("sample", QUICK, "-n", 4).code == 0
    assert (elsewhere / "samples.png").is_file()
    outcome = zoo("evaluate", QUICK, "--samples", 5, "--images", 50, "--json", "f.json")
    assert outcome.code == 0, outcome.err
    figures = json.loads((elsewhere / "f.json").read_text())
    mean, error = Run.open(QUICK).record.elbo  # of all 297 images
    wider = (297 / 50) ** 0.5 * error
    assert figures["elbo"] == pytest.approx(mean, abs=5 * wider)


def test_python_loads_them():
    assert library.load(QUICK).sample(2).shape == (2, 1, 8, 8)


def test_list_marks_them(zoo, elsewhere):
    lines = zoo("list", "--json", "list.json").out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("[weights]")] == NAMES
    assert [e["name"] for e in json.loads((elsewhere / "list.json").read_text()) if e["weights"]] == NAMES


def test_a_path_wins_over_a_name(zoo, elsewhere):
    (elsewhere / "biva_digits").mkdir()
    outcome = zoo("sample", "biva_digits")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "got a folder without config.json" in outcome.err
    assert located("biva_digits").resolve() == elsewhere / "biva_digits"


@pytest.mark.parametrize(
    ("name", "cure"),
    [("nvae_celeba64_paper", "zoo train nvae_celeba64_paper"), ("biva_digts", "did you mean biva_digits")],
)
def test_a_name_without_weights_is_one_line(name, cure, zoo, elsewhere):
    for command in (("sample",), ("evaluate",), ("anomaly", "--against", "noise.npy")):
        outcome = zoo(command[0], name, *command[1:])
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert cure in outcome.err
    assert not list(elsewhere.iterdir())
