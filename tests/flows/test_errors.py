"""Mistakes are named with their numbers."""

import re

import pytest
import torch

from flows import AffineCoupling, Composed, Halves, Householder, Masked, Permutation, checkerboard, sylvester
from flows.flow import as_shape
from tests.flows.catalogue import CASES, MADE, conditional_flows, every_flow
from tests.flows.named.case import context, passes, point

UNCONDITIONAL = [name for name, flow in MADE.items() if flow.context_shape is None]


@every_flow
def test_events_of_another_shape(name):
    flow = CASES[name].trained()
    for pass_, (size, *rest), _ in passes(flow):
        wrong = point(flow, (2,), shape=(size + 1, *rest))
        with pytest.raises(ValueError, match=re.escape(str(tuple(wrong.shape)))):
            pass_(wrong, context(flow, (2,)))
    with pytest.raises(ValueError, match=re.escape(str(flow.in_shape))):
        flow.forward_shape((2, flow.in_shape[0] + 1, *flow.in_shape[1:]))


@conditional_flows
def test_contexts_of_another_shape_or_none(name):
    flow = CASES[name].trained()
    expected = re.escape(str(flow.context_shape))
    wrong = context(flow)[..., None].expand(*flow.context_shape, flow.context_shape[-1] + 1)
    for pass_, shape, _ in passes(flow):
        with pytest.raises(ValueError, match=f"needs a context of shape {expected}"):
            pass_(point(flow, shape=shape))
        with pytest.raises(ValueError, match=f"{expected}; got a tensor of shape"):
            pass_(point(flow, shape=shape), wrong)
    with pytest.raises(ValueError, match=expected):
        flow.condition(wrong)


@pytest.mark.parametrize("name", UNCONDITIONAL)
def test_contexts_where_none_is_taken(name):
    flow = CASES[name].trained()
    with pytest.raises(ValueError, match=r"without a context; got one of shape \(2, 3\)"):
        flow.condition(torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AffineCoupling(1), "at least 2 features; got 1"),
        (lambda: AffineCoupling((1, 1, 1)), "at least 2 pixels; got an image of 1 x 1"),
        (lambda: Halves((1, 2, 2)), "at least 2 channels; got 1"),
        (lambda: AffineCoupling(0), "positive sizes.*got 0"),
        (lambda: as_shape(()), r"got \(\)"),
        (lambda: Masked(torch.tensor([True, True, True])), "passes 3 of 3"),
        (lambda: Masked(torch.tensor([False, False])), "passes 0 of 2"),
        (lambda: AffineCoupling(2, mask=torch.tensor([True, True])), "passes 2 of 2"),
        (
            lambda: AffineCoupling(3, mask=torch.tensor([True, False])),
            r"shape \(3,\); got one of shape \(2,\)",
        ),
        (lambda: checkerboard((3, 1, 1)), "1 x 1"),
        (lambda: Halves((1,)), "got 1"),
        (lambda: Permutation(3, order=[0, 1, 1]), r"\[0, 1, 1\]"),
        (lambda: Householder(3, reflections=0), "at least one reflection; got 0"),
        (lambda: sylvester(3, basis="reflections", columns=0), "at least one reflection; got 0"),
        (lambda: sylvester(3, basis="householder"), "orthogonal, reflections, axes; got 'householder'"),
        (lambda: Composed([]), "at least one flow"),
        (lambda: Composed([AffineCoupling(2), AffineCoupling(3)]), r"\(3,\).*\(2,\)"),
        (
            lambda: Composed([AffineCoupling(2, context=2), AffineCoupling(2, context=3)]),
            r"contexts of one shape; got \[\(2,\), \(3,\)\]",
        ),
    ],
)
def test_flows_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()
