"""Experiments in a file of the user's, with a model, a prior and an objective of the user's."""

import sys
from dataclasses import replace

import pytest

import zoo as library
from zoo.errors import CheckpointError, UsageError
from zoo.experiments import registry
from zoo.settings import Config


class Halved(library.ELBO):
    """An objective."""


FILE = '''
import zoo
from zoo.choices import Prior
from zoo.experiments import Experiment
from zoo.experiments.recipes import DIGITS, training
from zoo.settings import Config

class Narrow(zoo.LearnedNormal):
    """A prior."""

class Halved(zoo.ELBO):
    """An objective."""

def pair(image_shape, *, latent: int = 2, prior: Prior = Narrow):
    """A VAE.

    Args:
        latent: size of z.
        prior: p(z).
    """
    encoder = zoo.NormalHead(zoo.ConvEncoder(image_shape), latent)
    decoder = zoo.ConvDecoder(latent, image_shape)
    model = zoo.VAE(prior(latent), zoo.BernoulliLikelihood(decoder, image_shape))
    return model, zoo.AmortizedGuide(encoder)

EXPERIMENTS = [
    Experiment(
        "mine_digits",
        "a VAE of mine",
        Config("my_experiments.pair"),
        **DIGITS,
        objective=Config("my_experiments.Halved"),
        training=training(epochs=1),
    )
]
'''


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Experiments are read anew, with those of a file of that content."""

    def write(content, name="my_experiments.py"):
        path = tmp_path / name
        path.write_text(content)
        monkeypatch.setenv(registry.VARIABLE, str(path))
        registry._all.cache_clear()
        return path

    monkeypatch.setattr(sys, "path", [*sys.path])
    yield write
    registry._all.cache_clear()
    sys.modules.pop("my_experiments", None)


def test_a_run_of_an_experiment_of_ones_own_is_all_that_a_run_is(zoo, known, tmp_path, monkeypatch):
    known(FILE)
    small = ("--samples", 2, "--images", 4)
    run = tmp_path / "run"
    assert "a VAE of mine" in zoo("list", "mine*").out
    trained = zoo("train", "mine_digits", "--out", run, "--steps", 2, "--set", "latent=3", *small)
    assert trained.code == 0, trained.err
    assert type(library.load(run).model.prior).__name__ == "Narrow"
    assert zoo("train", "mine_digits", "--out", run, "--steps", 3, "--resume", *small).code == 0
    assert zoo("export", run, tmp_path / "weights.safetensors").code == 0
    assert zoo("evaluate", tmp_path / "weights.safetensors", *small).code == 0
    monkeypatch.delenv(registry.VARIABLE)
    registry._all.cache_clear()
    stranger = zoo("evaluate", run)
    assert (stranger.code, stranger.err.count("\n")) == (CheckpointError.exit_code, 1)
    assert "not known here, 'mine_digits': set ZOO_EXPERIMENTS to the file" in stranger.err


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("1 +", "broken.py", "cannot import .*broken.py.*invalid syntax"),
        ("\n1 / 0", "wrong.py", "cannot import .*wrong.py.*line 2: division by zero"),
        ("EXPERIMENTS = []", "json.py", "json.py.*is called like .*: rename it"),
        (FILE.replace("mine_digits", "vae_digits"), "my_experiments.py", "a second experiment 'vae_digits'"),
    ],
)
def test_a_file_that_cannot_be_taken_is_named(known, content, name, message):
    known(content, name)
    with pytest.raises(UsageError, match=message):
        registry.names()


def test_a_file_that_is_not_there_is_named(known):
    known("").unlink()
    with pytest.raises(UsageError, match=r"expected a Python file at .*my_experiments\.py"):
        registry.names()


def test_a_model_that_does_not_say_what_it_takes_is_refused(zoo, known, tmp_path):
    plain = "    model.likelihood = None\n    return model, "
    known(FILE.replace("    return model, ", plain))
    refused = zoo("train", "mine_digits", "--out", tmp_path / "run")
    assert (refused.code, refused.err.count("\n")) == (UsageError.exit_code, 1)
    assert "whose `takes` names the encoding of its images, binary, grid, unit" in refused.err
    assert not (tmp_path / "run").exists()


def test_no_run_is_begun_under_the_name_of_another_experiment(tmp_path):
    other = replace(registry.find("iwae_digits"), name="vae_mnist")
    with pytest.raises(UsageError, match="'vae_mnist' is another; list yours"):
        library.Run.create(other, tmp_path / "run")


def test_a_run_of_an_experiment_that_no_file_has_is_opened_once_one_has_it(known, tmp_path, monkeypatch):
    """As one that a notebook made."""
    known(FILE)
    mine = registry.find("mine_digits").override({"steps": 1})
    monkeypatch.delenv(registry.VARIABLE)
    registry._all.cache_clear()
    with pytest.warns(UserWarning, match="'mine_digits' is in no file: to open this run again"):
        run = library.Run.create(mine, tmp_path / "run")
    known(FILE)
    run.train()
    assert library.Run.open(tmp_path / "run").evaluate(samples=1, images=2).likelihood.mean < 0


def test_no_run_is_begun_with_an_objective_that_could_not_be_named_again(tmp_path):
    own = replace(registry.find("vae_digits"), objective=Config("tests.cli.test_own_experiments.Halved"))
    with pytest.raises(
        UsageError, match=r"cannot have these options: unknown objective 'Halved'.*; list yours"
    ):
        library.Run.create(own, tmp_path / "run")


def test_an_experiment_with_other_options_is_found_by_its_name(tmp_path):
    for options in ({"m1": "runs/m1"}, {"latent": 3, "objective": "ELBO", "binarize": "static"}):
        library.Run.create(registry.find("m1_m2_digits").override(options), tmp_path / "run")
