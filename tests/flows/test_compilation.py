"""Flows under PyTorch's function transforms: compiled, vectorised, in mixed precision."""

import pyro
import pytest
import torch
from torch.func import grad, vmap

from distributions import TransformedDistribution
from flows import IAF, Planar
from tests.flows.catalogue import CASES, MADE, every_flow, one_a_class
from tests.flows.named.case import at, context, density, original, point


def _parts(name):
    flow = original(MADE[name])
    parts = (type(getattr(flow, part, None)) for part in ("net", "univariate"))
    return type(flow), flow is MADE[name], *parts


def one_of_the_same_parts():
    """Compiling takes seconds: of flows of the same parts one, with a context if one has it."""
    compiling = [name for name, case in CASES.items() if case.compiles]
    ordered = sorted(compiling, key=lambda name: MADE[name].context_shape is not None)
    return list({_parts(name): name for name in ordered}.values())


COMPILED = one_of_the_same_parts()
ELEMENTWISE = one_a_class({name: case for name, case in CASES.items() if case.elementwise})


@pytest.mark.parametrize("name", COMPILED)
def test_log_prob_is_one_graph(name):
    flow = CASES[name].trained(dtype=torch.float32)
    y, c = point(flow, (4,), shape=flow.event_shape).float(), context(flow, (4,))
    torch.compiler.reset()
    with pyro.validation_enabled(False):  # a check of values breaks the graph
        base = density(flow, c).base_dist

        def log_prob(y):
            return TransformedDistribution(base, [at(flow, c)]).log_prob(y)

        compiled = torch.compile(log_prob, fullgraph=True, backend="eager")  # what is traced, as it is
        torch.testing.assert_close(compiled(y), log_prob(y), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_log_prob_is_vectorised(name):
    """One event at a time, with its gradient, as per-example gradients need it."""
    flow = CASES[name].trained()
    y, c = point(flow, (3,), shape=flow.event_shape), context(flow)

    def log_prob(y):
        return density(flow, c).log_prob(y)

    expected = log_prob(y.requires_grad_())
    (score,) = torch.autograd.grad(expected.sum(), y)
    torch.testing.assert_close(vmap(log_prob)(y.detach()), expected.detach())
    torch.testing.assert_close(vmap(grad(log_prob))(y.detach()), score)


@every_flow
def test_mixed_precision_keeps_the_log_det(name):
    flow = CASES[name].trained(dtype=torch.float32)
    y, c = point(flow, (16,), shape=flow.event_shape).float(), context(flow, (16,))
    with torch.no_grad():
        expected = density(flow, c).log_prob(y)
        with torch.autocast("cpu", torch.bfloat16):
            x, log_det = flow.inverse_and_log_det(y, c)
            log_prob = density(flow, c).log_prob(y)
    assert x.dtype == log_det.dtype == torch.float32
    error = (log_prob - expected).abs().mean() / expected.abs().mean()
    assert error < 0.01


@pytest.mark.parametrize("make", [lambda: IAF(3, hidden=(4,)), lambda: Planar(3)], ids=["iaf", "planar"])
def test_a_search_runs_as_it_is_in_a_compiled_function(make):
    flow, y = make().double(), torch.randn(4, 3, dtype=torch.float64)

    def inverse(y):
        with torch.no_grad():
            return flow.inverse_and_log_det(y)[0]

    torch.compiler.reset()
    compiled = torch.compile(inverse, backend="eager")
    torch.testing.assert_close(compiled(y), inverse(y), rtol=0, atol=1e-9)


def test_some_flows_are_compiled_and_vectorised():
    """The exceptions stay exceptions."""
    assert 2 * len([c for c in CASES.values() if c.compiles]) > len(MADE)
    assert 2 * len([c for c in CASES.values() if c.elementwise]) > len(MADE)
