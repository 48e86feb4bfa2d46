"""The commands on a model without latent variables, and one with: small runs of PixelCNN and PixelVAE."""

import json

import numpy as np
import pytest
from PIL import Image

import zoo as library
from tests.cli.conftest import call

SIZES = {
    "pixelcnn_digits": ("channels=4", "blocks=1", "head=4"),
    "pixelvae_digits": ("channels=4", "layers=2", "decoder_channels=4", "latent=3"),
}


@pytest.fixture(scope="module", params=SIZES)
def finished(request, tmp_path_factory):
    """What training said, and the folder."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    sizes = (part for size in SIZES[request.param] for part in ("--set", size))
    options = ("--steps", 4, "--batch-size", 100, "--samples", 3, "--images", 20)
    outcome = call("train", request.param, "--out", folder, *options, *sizes)
    assert outcome.code == 0, outcome.err
    return request.param, folder, outcome.out


def is_exact(name):
    return name == "pixelcnn_digits"


def test_training_reports_what_it_found(finished):
    name, folder, said = finished
    assert ("exact: no latent variables" in said) == is_exact(name)
    assert ("effective samples" in said) != is_exact(name)
    pictures = {path.name for path in (folder / "pictures").iterdir()}
    assert pictures == {"samples.png", "reconstructions.png", *([] if is_exact(name) else ["kl.png"])}


def test_evaluating_says_whether_the_figure_is_exact(finished, zoo, tmp_path):
    name, folder, _ = finished
    first = zoo("evaluate", folder, "--images", 10, "--samples", 5, "--json", tmp_path / "f.json")
    assert ("exact: no latent variables, nothing to sample (10 images)" in first.out) == is_exact(name)
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["exact"] == is_exact(name)
    assert figures["samples"] == (1 if is_exact(name) else 5)
    more = zoo("evaluate", folder, "--images", 10, "--samples", 7, "--seed", 4)
    assert (more.out == first.out) == is_exact(name)  # neither samples nor seeds matter to what is exact


def picture(path):
    return np.asarray(Image.open(path).convert("L"))


def test_samples_depend_on_seed_and_temperature(finished, zoo, tmp_path):
    _, folder, _ = finished
    pictures = []
    for i, options in enumerate([(), (), ("--seed", 1), ("--temperature", 0.2)]):
        outcome = zoo("sample", folder, "-n", 9, "--out", tmp_path / f"{i}.png", *options)
        assert outcome.code == 0, outcome.err
        pictures.append(picture(tmp_path / f"{i}.png"))
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] != pictures[2]).any()
    assert (pictures[0] != pictures[3]).any()


def test_reconstructions_keep_the_upper_half_where_nothing_is_latent(finished, zoo, tmp_path):
    name, folder, _ = finished
    assert zoo("reconstruct", folder, "-n", 1, "--out", tmp_path / "x.png").code == 0
    image = library.data.load_data("digits").thresholded().test[0, 0].numpy() * 255
    shown = times_seen(np.kron(image[:4], np.ones((8, 8))), picture(tmp_path / "x.png"))
    assert shown == (2 if is_exact(name) else 1)


def times_seen(part, whole):
    windows = np.lib.stride_tricks.sliding_window_view(whole, part.shape)
    return (windows == part).all((-1, -2)).sum()


def test_a_softmax_of_grey_levels_trains(zoo, tmp_path):
    sizes = (*SIZES["pixelcnn_digits"], "likelihood=categorical", "binarize=none", "levels=17")
    options = ("--steps", 2, "--images", 20, *(part for size in sizes for part in ("--set", size)))
    outcome = zoo("train", "pixelcnn_digits", "--out", tmp_path / "run", *options)
    assert outcome.code == 0, outcome.err
    assert "bits/dim" in outcome.out
