"""Densities in the plane have mass one."""

import math

import torch

from tests.flows.catalogue import CASES, flows_of_the_plane
from tests.flows.named.case import context, density


@flows_of_the_plane
def test_mass_is_one(name):
    """By the trapezoidal rule on [-9, 9]^2, whose ends contribute nothing; for three contexts at once."""
    flow = CASES[name].trained()
    line = torch.linspace(-9, 9, 301, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    c = context(flow, (3, 1))
    with torch.no_grad():
        log_prob = density(flow, c).log_prob(grid)
    mass = torch.logsumexp(log_prob, -1).exp() * (line[1] - line[0]) ** 2
    assert mass.shape == (() if c is None else (3,))
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=2e-3)


@flows_of_the_plane
def test_density_is_no_normal(name):
    """So that the mass of a flow that does nothing is not what is measured."""
    flow = CASES[name].trained()
    x = torch.randn(100, 2, dtype=torch.float64)
    with torch.no_grad():
        log_prob = density(flow, context(flow, (1,))).log_prob(x)
    normal = -x.square().sum(-1) / 2 - math.log(2 * math.pi)
    assert (log_prob - normal).abs().max() > 1e-5
