"""`zoo anomaly`: from a trained run and another set of images to a table, a picture and a file."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.cli.conftest import call
from zoo import Run
from zoo.analysis.anomaly import bounds, scores
from zoo.data import load_data

USAGE, DATA = 2, 3
SIZES = ("latents=3,2", "strides=2,2", "kernels=3,3", "filters=4", "blocks=1")


@pytest.fixture(scope="module")
def hierarchy(tmp_path_factory):
    """The folder of a two-layer BIVA of sixty steps."""
    folder = tmp_path_factory.mktemp("biva") / "run"
    sizes = (part for size in SIZES for part in ("--set", size))
    options = ("--steps", 60, "--samples", 2, "--images", 5)
    outcome = call("train", "biva_digits", "--out", folder, *options, *sizes)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with sets of images."""
    place = tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(place / "white noise.npz", train=noise[:20], test=noise[20:])
    np.save(place / "wide.npy", noise.reshape(30, 8, 16))
    np.savez(place / "untested.npz", train=noise)
    np.savez(place / "levels.npz", train=noise[:20] % 4, test=noise[20:] % 4, levels=4)
    (place / "words.txt").write_text("some words of the user's\n")
    return place


@pytest.fixture(scope="module")
def answer(hierarchy, place):
    """The command's outcome and its figures, for noise against digits."""
    figures = place / "figures.json"
    options = ("--images", 30, "--samples", 3, "--above", "0,1,2", "--seed", 4, "--json", figures)
    outcome = call("anomaly", hierarchy, "--against", place / "white noise.npz", *options)
    assert outcome.code == 0, outcome.err
    return outcome, json.loads(figures.read_text())


def test_the_table_has_a_line_a_score(answer):
    outcome, _ = answer
    first, columns, *rows, picture = outcome.out.splitlines()
    assert first.startswith("normal digits-thresholded (30 images), anomalous white noise-thresholded (30)")
    assert columns.split()[:4] == ["score", "AUROC", "AUPRC", "FPR80"]
    assert [row.split()[0] for row in rows] == ["L>0", "L>1", "LLR>1", "L>2", "LLR>2"]
    assert picture.startswith("picture")
    assert "image 300/300" not in outcome.out  # progress is for stderr


def test_noise_is_less_likely_than_digits(answer):
    _, figures = answer
    by_score = {row["score"]: row for row in figures["anomaly"]}
    for k in (0, 1, 2):
        assert by_score[f"L>{k}"]["auroc"] > 0.9
        assert by_score[f"L>{k}"]["auprc"] > 0.9
        assert by_score[f"L>{k}"]["fpr80"] < 0.2
        assert by_score[f"L>{k}"]["anomalous"] > by_score[f"L>{k}"]["normal"]
    assert figures["samples"] == 3


def test_the_figures_are_those_of_the_library(answer, hierarchy):
    _, figures = answer
    run = Run.open(hierarchy)
    system = run.system
    x = run.protocol.held_out(run.data, "test", system.encoding)[:30]
    expected = scores(bounds(system.model, system.guide, x, (0, 1, 2), samples=3, seed=4))
    for row in figures["anomaly"]:
        assert row["normal"] == pytest.approx(expected[row["score"]].mean().item(), abs=1e-6)


def test_the_run_gets_a_picture_and_histograms(answer, hierarchy):
    outcome, _ = answer
    picture = hierarchy / "pictures" / "anomaly_white_noise_thresholded.png"
    assert outcome.out.splitlines()[-1].split(maxsplit=1)[1] == str(picture)
    with Image.open(picture) as image:
        assert image.size == (2 * 480 + 6, 3 * 300 + 8)
    events = EventAccumulator(str(hierarchy), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    names = ["L_above_0", "L_above_1", "LLR_above_1", "L_above_2", "LLR_above_2"]
    sets = [f"anomaly/white_noise_thresholded/{n}/{kind}" for n in names for kind in ("normal", "anomalous")]
    assert set(sets) <= set(tags["histograms"])
    assert "anomaly/white_noise_thresholded" in tags["images"]


def test_again_it_says_the_same_and_replaces_its_own(answer, hierarchy, place):
    outcome, figures = answer
    options = ("--images", 30, "--samples", 3, "--above", "2,1,0", "--seed", 4, "--chunk", 1)
    figures_again = place / "figures.json"
    again = call(
        *("anomaly", hierarchy, "--against", place / "white noise.npz", *options, "--json", figures_again)
    )
    assert again.out == outcome.out
    assert [row["score"] for row in json.loads(figures_again.read_text())["anomaly"]] == [
        row["score"] for row in figures["anomaly"]
    ]


def test_a_run_against_its_own_images_is_chance(hierarchy):
    outcome = call("anomaly", hierarchy, "--against", "digits", "--images", 40, "--samples", 1)
    assert outcome.code == 0, outcome.err
    rows = outcome.out.splitlines()[2:-1]
    assert [row.split()[0] for row in rows] == ["L>0", "L>1", "LLR>1"]  # all but the prior alone
    assert all(row.split()[1] == "0.500" for row in rows if row.startswith("L>"))


def test_dynamic_binarisation_draws_both_sets_once(trained, place, tmp_path):
    """A VAE has one layer; the other set may have other grey levels."""
    run = shutil.copytree(trained, tmp_path / "run")
    outcomes = [
        call("anomaly", run, "--against", place / "levels.npz", "--samples", 2, "--images", 40)
        for _ in range(2)
    ]
    assert outcomes[0].code == 0, outcomes[0].err
    assert outcomes[0].out == outcomes[1].out
    assert [row.split()[0] for row in outcomes[0].out.splitlines()[2:-1]] == ["L>0"]
    assert load_data("digits").levels != 4


MISTAKES = {
    "no anomalies": ("{run}", USAGE, "--against"),
    "unknown data": ("{run} --against mnits", DATA, "did you mean mnist"),
    "missing data": ("{run} --against mnist --data-root {place}/nowhere", DATA, "--download"),
    "missing file": ("{run} --against {place}/nowhere.npz", DATA, "found nothing there"),
    "another shape": ("{run} --against {place}/wide.npy", DATA, "expected images of shape (1, 8, 8)"),
    "too many images": ("{run} --against {place}/untested.npz --images 200", USAGE, "images"),
    "a layer too many": ("{run} --against digits --above 0,3", USAGE, "layers k from 0 to 2"),
    "a negative layer": ("{run} --against digits --above=-1", USAGE, "expected layers like 0,1,2; got '-1'"),
    "layers as text": ("{run} --against digits --above top", USAGE, "got 'top'"),
    "no layers": ("{run} --against digits --above=", USAGE, "expected layers like 0,1,2; got ''"),
    "samples 0": ("{run} --against digits --samples 0", USAGE, "--samples: expected an integer >= 1"),
    "images 0": ("{run} --against digits --images 0", USAGE, "--images: expected an integer >= 1"),
    "no run": ("{place}/ghost --against digits", USAGE, "expected a run"),
    "no device": ("{run} --against digits --device foo", USAGE, "no device 'foo'"),
    "figures over text": ("{run} --against digits --json {place}/words.txt", USAGE, "not a file of figures"),
    "no latents": ("{density} --against digits", USAGE, "no layers of latent variables"),
}


@pytest.fixture(scope="module")
def density(tmp_path_factory):
    """The folder of a model that has no hierarchy."""
    folder = tmp_path_factory.mktemp("density") / "run"
    sizes = ("--set", "layers=2", "--set", "hidden=4")
    options = ("--steps", 1, "--samples", 1, "--images", 2)
    assert call("train", "maf_digits", "--out", folder, *options, *sizes).code == 0
    return folder


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_touches_nothing(name, hierarchy, density, place, hashes):
    arguments, code, said = MISTAKES[name]
    before = hashes(place), hashes(hierarchy), hashes(density)
    outcome = call("anomaly", *arguments.format(run=hierarchy, density=density, place=place).split())
    assert outcome.code == code, outcome
    assert outcome.err.startswith("zoo: ")
    assert outcome.err.count("\n") == 1, outcome.err
    assert said in outcome.err
    assert outcome.out == ""
    assert (hashes(place), hashes(hierarchy), hashes(density)) == before


def test_grey_images_of_other_levels_are_refused(density, place):
    outcome = call("anomaly", density, "--against", place / "levels.npz")
    assert outcome.code == DATA
    assert "17 levels, as digits has; got (1, 8, 8) and 4" in outcome.err
