"""Left-out updates come to an end."""

import math

import pytest
import torch

from zoo.errors import UsageError
from zoo.training.gradient_skip import GradientSkip


def taken(skip, norms):
    return [bool(skip.takes(torch.tensor(norm))) for norm in norms]


def test_small_gradients_are_taken_and_large_ones_left_out():
    assert taken(GradientSkip(10.0), [0.0, 9.9, 10.0, 1e9, 1.0]) == [True, True, False, False, True]


@pytest.mark.parametrize("patience", [0, 1, 5])
def test_a_run_of_skips_is_bounded(patience):
    """VDVAE's own rule would skip all of them."""
    found = taken(GradientSkip(1.0, patience=patience), [100.0] * 3 * (patience + 1))
    assert found == ([False] * patience + [True]) * 3


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_what_is_not_finite_is_never_taken(norm):
    skip = GradientSkip(1.0, patience=2)
    assert not any(taken(skip, [norm] * 10))
    assert taken(skip, [100.0, 100.0]) == [True, False]


def test_a_resumed_run_of_skips_goes_on():
    skip, resumed = GradientSkip(1.0, patience=3), GradientSkip(1.0, patience=3)
    taken(skip, [5.0, 5.0])
    resumed.load_state_dict(skip.state_dict())
    assert taken(resumed, [5.0, 5.0]) == [False, True]


@pytest.mark.parametrize(("threshold", "patience"), [(0.0, 1), (1.0, -1)])
def test_numbers_out_of_range(threshold, patience):
    with pytest.raises(UsageError):
        GradientSkip(threshold, patience=patience)
