"""The command line called in this process, and one small run that the tests share."""

import functools
import hashlib
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

import pytest
import torch

from zoo.analysis import plots
from zoo.cli.main import main

# A VAE small enough that a run takes a second.
SMALL = (
    *("vae_digits", "--batch-size", 100, "--samples", 5, "--images", 20),
    *("--set", "channels=4", "--set", "latent=3", "--set", "strides=2"),
    *("--set", "log_every=1", "--set", "binarize=dynamic"),
)


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str


def call(*arguments):
    """Run a command in this process."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def blank_charts(monkeypatch):
    """Drawing its chart is a third of a short run: those of a test's own commands are blank.

    Runs that tests share, made before any test's fixtures, have drawn ones.
    """

    def blank(figure, axes):
        width, height = map(round, figure.get_size_inches() * plots.DPI)
        return torch.ones(3, height, width)

    monkeypatch.setattr(plots, "_drawn", blank)


@pytest.fixture
def zoo():
    return call


@pytest.fixture
def train(tmp_path):
    """Train the small VAE into a folder of the test's, for four steps."""

    def run(out=tmp_path / "run", *arguments):
        return call("train", *SMALL, "--out", out, "--steps", 4, *arguments)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a finished run of two epochs; not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    settings = ("--epochs", 2, "--seed", 3, "--set", "ema=0.9", "--set", "histograms=true")
    outcome = call("train", *SMALL, "--out", folder, *settings)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture
def hashes():
    """The sha256 of every file below a folder; of one that nobody has written to, taken once."""

    def tree(folder):
        found = {}
        for parent, folders, files in os.walk(folder):
            found |= {os.path.join(parent, name): None for name in folders}
            for name in files:
                path = os.path.join(parent, name)
                found[path] = _sha256(path, _stamp(path))
        return found

    return tree


def _stamp(path):
    """What the system changes when a file is written to, replaced or renamed."""
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@functools.cache
def _sha256(path, stamp):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
