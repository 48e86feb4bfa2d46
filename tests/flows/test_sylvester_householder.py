"""Sylvester and Householder flows: their matrices, special cases, and published sizes."""

import pyro.distributions as dist
import pytest
import torch

from distributions import TransformedDistribution
from flows import Axes, Householder, Orthogonal, Reflections, Sylvester
from tests.flows.named.case import point

BASES = {"orthogonal": Orthogonal(3), "reflections": Reflections(4), "axes": Axes(), "reversed": Axes(True)}


@pytest.mark.parametrize("basis", BASES.values(), ids=BASES)
def test_columns_are_orthonormal(basis):
    torch.manual_seed(0)
    frame = basis.frame(basis.initial(5).double(), 5)
    m = basis.columns(5)
    q = basis.back(frame, torch.eye(m, dtype=torch.float64)).T
    torch.testing.assert_close(q.T @ q, torch.eye(m, dtype=torch.float64), rtol=0, atol=1e-12)
    x = torch.randn(7, 5, dtype=torch.float64)
    torch.testing.assert_close(basis.into(frame, x), x @ q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_product_of_reflections_has_determinant_plus_or_minus_one(count):
    flow = Householder(4, reflections=count).double()
    jacobian = torch.autograd.functional.jacobian(flow, point(flow))
    torch.testing.assert_close(
        torch.linalg.det(jacobian), torch.tensor((-1.0) ** count).double(), rtol=0, atol=1e-12
    )


def test_a_reflection_twice_is_the_identity():
    flow = Householder(4).double()
    x = point(flow, (3,))
    torch.testing.assert_close(flow(flow(x)), x, rtol=0, atol=1e-12)


def test_a_reflected_normal_has_full_covariance():
    """N(Q mu, Q diag(s^2) Q^T)."""
    flow = Householder(4, reflections=2).double()
    loc, scale = torch.randn(4).double(), torch.rand(4).double() + 0.5
    q = TransformedDistribution(dist.Normal(loc, scale).to_event(1), [flow])
    matrix = flow(torch.eye(4, dtype=torch.float64)).T
    expected = dist.MultivariateNormal(matrix @ loc, matrix @ torch.diag(scale**2) @ matrix.T)
    y = point(flow, (5,))
    torch.testing.assert_close(q.log_prob(y), expected.log_prob(y), rtol=0, atol=1e-10)


def test_one_column_is_a_planar_flow():
    """Y = x + u tanh(w.x + b) with u = q r_1, w = q r_2."""
    ours = Sylvester(4, Orthogonal(1)).double()
    frame, r_1, r_2, b = (t.detach() for t in ours._at(None, torch.zeros(4).double()))
    x = point(ours, (5,), scale=2.0)
    y, log_det = ours.call_and_log_det(x)
    s = x @ (frame * r_2) + b
    torch.testing.assert_close(y, x + torch.tanh(s) * (frame * r_1)[:, 0], rtol=0, atol=1e-12)
    expected = torch.log1p((r_1 * r_2)[0] * (1 - torch.tanh(s) ** 2))[:, 0]
    torch.testing.assert_close(log_det, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("basis", [Orthogonal(3), Reflections(2), Axes()], ids=["o", "h", "t"])
def test_invertible_whatever_the_parameters(basis, seed):
    torch.manual_seed(seed)
    flow = Sylvester(4, basis).double()
    with torch.no_grad():
        torch.nn.init.normal_(flow.parameters_at.initial, std=3.0)
        x = point(flow, (20,), scale=3.0)
        y, log_det = flow.call_and_log_det(x)
        back, inverse_log_det = flow.inverse_and_log_det(y)
    torch.testing.assert_close(flow.call_and_log_det(back)[0], y, rtol=0, atol=1e-8)
    assert log_det.isfinite().all()
    assert inverse_log_det.isfinite().all()


@pytest.mark.parametrize(
    ("bases", "parameters"),
    [
        ([Orthogonal(32)] * 16, 13_026_816),
        ([Orthogonal(8)] * 4, 616_800),
        ([Axes(), Axes(True)] * 8, 17_632_256),
        ([Reflections(8)] * 16, 19_737_600),
    ],
    ids=["O-SNF", "small O-SNF", "T-SNF", "H-SNF"],
)
def test_amortised_parameters_are_the_published(bases, parameters):
    """Of 64 latents and 256 features, arXiv:1803.05649."""
    with torch.device("meta"):
        flows = [Sylvester(64, basis, context=256) for basis in bases]
    assert sum(p.numel() for flow in flows for p in flow.parameters()) == parameters


def test_too_many_columns_are_refused():
    with pytest.raises(ValueError, match="1 to 3 orthonormal columns in 3 dimensions; got 4"):
        Sylvester(3, Orthogonal(4))
