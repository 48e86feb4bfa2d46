"""Densities in the plane have mass one."""

import math

import pytest
import torch

from tests.flows.catalogue import CASES, flows_of_the_plane
from tests.flows.named.case import context, density


def wide():
    """Nodes and weights of the trapezoidal rule in t, x = sinh(sinh(t)): |x| <= 530, densest at 0."""
    t = torch.linspace(-2.65, 2.65, 251, dtype=torch.float64)
    return t.sinh().sinh(), t.sinh().cosh() * t.cosh() * (t[1] - t[0])


def fine():
    """Those for splines, whose bins can be narrow, and which leave alone what is beyond 5."""
    x = torch.linspace(-7, 7, 501, dtype=torch.float64)
    return x, (x[1] - x[0]).expand_as(x)


@flows_of_the_plane
def test_mass_is_one(name):
    """For each of three contexts."""
    flow = CASES[name].trained()
    x, weight = fine() if "spline" in name else wide()
    grid, weights = torch.cartesian_prod(x, x), torch.cartesian_prod(weight, weight).prod(-1)
    for seed in range(1, 4) if flow.context_shape else [None]:
        with torch.no_grad():
            mass = density(flow, context(flow, seed=seed)).log_prob(grid).exp() @ weights
        assert mass.item() == pytest.approx(1.0, abs=2e-3)


@flows_of_the_plane
def test_density_is_no_normal(name):
    """So that the mass of a flow that does nothing is not what is measured."""
    flow = CASES[name].trained()
    x = torch.randn(100, 2, dtype=torch.float64)
    with torch.no_grad():
        log_prob = density(flow, context(flow, (1,))).log_prob(x)
    normal = -x.square().sum(-1) / 2 - math.log(2 * math.pi)
    assert (log_prob - normal).abs().max() > 0.01
