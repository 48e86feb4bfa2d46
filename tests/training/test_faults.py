"""A few of the faults that `make faults` tries many of."""

import random

import pytest

from tests.faults import mistakes, moments

FAULTS = {
    "kills inside a save": (moments.saves, 2 * moments.SAVING),
    "wrong options and images": (mistakes.mistakes, 10),
}


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_goes_wrong(name, tmp_path):
    fault, count = FAULTS[name]
    tallies = fault(count, tmp_path, random.Random(1))
    assert sum(tally.outcomes.total() for tally in tallies) == count
    assert [line for tally in tallies for line in tally.mistakes] == []
