"""`zoo compare`: runs on the same images, with paired differences."""

import json
import math

import pytest
import torch

import zoo as library
from zoo.errors import UsageError
from zoo.runs.comparison import Comparison

GREY, SOFTMAX = {"binarize": "none"}, {"likelihood": "categorical", "levels": 17}


@pytest.fixture(scope="module")
def other(tmp_path_factory, trained):
    """A run on the images of `trained`, of another latent size."""
    experiment = library.Run.open(trained).experiment.override({"latent": 2, "epochs": 1})
    path = tmp_path_factory.mktemp("other") / "run"
    library.Run.create(experiment, path).train()
    return path


def test_runs_are_shown_with_their_paired_differences(zoo, trained, other, tmp_path):
    figures = tmp_path / "figures.json"
    arguments = ("--samples", 5, "--images", 20)
    outcome = zoo("compare", trained, other, *arguments, "--json", figures)
    assert outcome.code == 0, outcome.err
    written = json.loads(figures.read_text())
    first, second = written["comparison"]
    assert [first["run"], second["run"]] == [str(trained), str(other)]
    one = library.Run.open(other).evaluate(5, images=20)
    assert second["log_likelihood"] == pytest.approx(one.likelihood.mean)
    assert (first["difference"], first["difference_stderr"]) == (0, 0)
    assert second["difference"] == pytest.approx(second["log_likelihood"] - first["log_likelihood"])
    bits = second["bits_per_dim"] - first["bits_per_dim"]
    assert second["difference_bits_per_dim"] == pytest.approx(bits)
    assert f"{second['difference']:.3f} +- {second['difference_stderr']:.3f}" in outcome.out
    assert f"20 images of {written['protocol']}" in outcome.out
    assert sum(line.endswith("best") for line in outcome.out.splitlines()) == 1
    assert zoo("compare", trained, other, *arguments, "--json", figures).code == 0  # ours: replaced


def test_the_error_of_a_difference_is_that_of_the_pairs():
    """Images differ by 100 nats among each other and by 1 +- 0.1 between the runs."""
    images, noise = 100 * torch.randn(50).double(), 0.1 * torch.randn(50).double()
    comparison = Comparison({"a": _evaluation(images), "b": _evaluation(images + 1 + noise)})
    _, second = comparison.summary()["comparison"]
    assert second["difference"] == pytest.approx(1 + noise.mean().item())
    assert second["difference_stderr"] == pytest.approx(noise.std().item() / math.sqrt(50))
    assert second["difference_stderr"] < second["log_likelihood_stderr"] / 100


def test_one_image_has_no_error():
    comparison = Comparison({"a": _evaluation(-torch.ones(1)), "b": _evaluation(-2 * torch.ones(1))})
    row = comparison.table().splitlines()[2]
    assert "nan" not in row
    assert "+-" not in row
    assert "-1.000" in row.split()


def _evaluation(values):
    fields = {
        "elbo": values - 1,
        "sampling_stderr": 0 * values,
        "ess": 0 * values + 9,
        "pareto_k": 0 * values,
        "smoothed": values,
    }
    found = library.LogLikelihood(log_likelihood=values, **fields, samples=9, dimensions=64)
    return library.runs.report.Evaluation(found, {}, "some images")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"binarize": "static"}, "binarize is dynamic there and static here"),
        ({"binarize_seed": 1}, "binarize_seed is 0 there and 1 here"),
        ({"binarize": "none", "likelihood": "continuous_bernoulli"}, "a density of continuous pixels here"),
        (
            {"binarize": "none", "likelihood": "categorical", "levels": 17},
            "a probability of pixels of 17 levels",
        ),
    ],
)
def test_runs_of_other_protocols_are_refused(trained, tmp_path, changes, said):
    run = library.Run.create(library.Run.open(trained).experiment, tmp_path / "other")
    run.experiment = run.experiment.override(changes)
    run.system = library.System(run.experiment, (1, 8, 8))  # what it would be once trained
    with pytest.raises(UsageError, match=said) as refused:
        library.compare([trained, run])
    assert str(refused.value).startswith(f"{tmp_path / 'other'} does not compare with {trained}: ")
    assert "\n" not in str(refused.value)


def test_runs_of_other_data_are_refused_where_those_are_not_at_hand(zoo, trained):
    outcome = zoo("compare", trained, "vae_mlp_mnist")
    assert outcome.code == 2
    assert "vae_mlp_mnist does not compare with" in outcome.err
    assert "data is digits there and mnist here" in outcome.err


def test_masses_of_the_same_levels_compare_however_the_images_are_encoded(tmp_path):
    """A flow's dequantised images, in [0, 1], and the grid of a softmax, in [-1, 1]."""
    runs = []
    for name, changes in {
        "nice_digits": {},
        "pixelcnn_digits": {"likelihood": "categorical", "levels": 17},
    }.items():
        run = library.Run.create(name, tmp_path / name)
        run.experiment = run.experiment.override({**GREY, **changes})
        run.system = library.System(run.experiment, (1, 8, 8))
        runs.append(run)
    library.runs.comparison.require_comparable(*runs)
