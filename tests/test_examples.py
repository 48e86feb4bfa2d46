"""The examples run, for an epoch each on a part of the images."""

import runpy
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

import zoo
import zoo.data

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
TRAIN, TEST = 300, 40


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """Let a set of images be its first ones: what an example costs does not depend on the others."""

    def load(*arguments, **options):
        data = load_data(*arguments, **options)
        splits = (field.name for field in fields(data) if field.name.startswith(("train", "test")))
        few = {name: getattr(data, name) for name in splits}
        few = {name: x if x is None else x[: TRAIN if "train" in name else TEST] for name, x in few.items()}
        return replace(data, **few)

    load_data = zoo.data.load_data
    for package in (zoo, zoo.data):
        monkeypatch.setattr(package, "load_data", load)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(path), "--epochs", "1"])
    runpy.run_path(str(path), run_name="__main__")
    assert "log p(x)" in capsys.readouterr().out
