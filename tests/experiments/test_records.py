"""Records of trained experiments and the tables made of them."""

import math
import shlex
from pathlib import Path

import pytest

import zoo.experiments.records as module
from zoo.experiments import find

RECORDS = module.records()


def test_the_tables_are_those_of_the_records():
    readme = Path(module.__file__).with_name("README.md")
    assert readme.read_text() == module.markdown(), "run python -m zoo.experiments.records"


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.command)
def test_a_record_says_how_its_figures_were_obtained(record):
    program, verb, name, *arguments = shlex.split(record.command)
    assert (program, verb, name) == ("zoo", "train", record.experiment)
    changes = [text.split("=", 1) for text in arguments if "=" in text]
    find(name).override(dict(changes))  # every option that is set exists
    figures = [record.elbo, record.log_likelihood, record.bits_per_dim]
    assert any(figures)
    assert all(math.isfinite(mean) and error > 0 for mean, error in filter(None, figures))
    assert record.hardware
    assert record.protocol
    assert record.date


def test_a_bound_lies_below_the_likelihood():
    both = [r for r in RECORDS if r.elbo and r.log_likelihood]
    assert both
    assert all(r.elbo[0] <= r.log_likelihood[0] for r in both)
