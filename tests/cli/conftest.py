"""The command line called in this process, and one small run that the tests share."""

import hashlib
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

import pytest

from zoo.cli.main import main

# A VAE small enough that a run takes a second.
SMALL = (
    *("vae_digits", "--batch-size", 100, "--samples", 5, "--images", 20),
    *("--set", "channels=4", "--set", "latent=3", "--set", "log_every=1", "--set", "binarize=dynamic"),
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
    """The sha256 of every file below a folder."""

    def tree(folder):
        found = {}
        for parent, folders, files in os.walk(folder):
            found |= {os.path.join(parent, name): None for name in folders}
            for name in files:
                path = os.path.join(parent, name)
                with open(path, "rb") as file:
                    found[path] = hashlib.sha256(file.read()).hexdigest()
        return found

    return tree
