import pyro.distributions as dist
import pytest
import torch

from distributions import PrecisionWeightedNormal


def two_normals(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    loc1, loc2, log_scale1, log_scale2 = torch.randn(4, *shape, generator=generator, dtype=dtype)
    return dist.Normal(loc1, log_scale1.exp()), dist.Normal(loc2, log_scale2.exp())


def test_density_is_the_renormalised_product():
    first, second = two_normals(20)
    z = torch.linspace(-30, 30, 60_001, dtype=torch.float64)[:, None]
    product = (first.log_prob(z) + second.log_prob(z)).exp()
    density = product / torch.trapezoid(product, z, dim=0)
    merged = PrecisionWeightedNormal(first, second).log_prob(z).exp()
    torch.testing.assert_close(merged, density, rtol=1e-8, atol=1e-12)


def test_parameters_are_the_papers():
    first, second = two_normals(100)
    precision = 1 / first.variance + 1 / second.variance
    p = PrecisionWeightedNormal(first, second)
    torch.testing.assert_close(p.variance, 1 / precision)
    expected = (first.loc / first.variance + second.loc / second.variance) / precision
    torch.testing.assert_close(p.loc, expected)


def test_order_does_not_matter():
    first, second = two_normals(100)
    p, q = PrecisionWeightedNormal(first, second), PrecisionWeightedNormal(second, first)
    torch.testing.assert_close(p.loc, q.loc)
    torch.testing.assert_close(p.scale, q.scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("wide", "sharp"), [(1e20, 1e-30), (1e30, 1e20), (1e-25, 1e-30), (1e3, 1e-3)])
def test_the_sharper_one_wins(wide, sharp, dtype):
    log_scales = torch.tensor([wide, sharp], dtype=dtype).log().requires_grad_()
    locs = torch.tensor([5.0, -2.0], dtype=dtype, requires_grad=True)
    scales = log_scales.exp()
    p = PrecisionWeightedNormal(dist.Normal(locs[0], scales[0]), dist.Normal(locs[1], scales[1]))
    torch.testing.assert_close(p.loc, locs[1], rtol=0, atol=1e-4)
    torch.testing.assert_close(p.scale, scales[1], rtol=1e-5, atol=0)
    (p.loc + p.scale.log()).backward()
    assert torch.isfinite(log_scales.grad).all()
    torch.testing.assert_close(log_scales.grad[1], torch.ones((), dtype=dtype), rtol=0, atol=1e-4)
    torch.testing.assert_close(locs.grad, torch.tensor([0.0, 1.0], dtype=dtype), rtol=0, atol=1e-4)


def test_gradient_is_the_derivative():
    first, second = two_normals(5)
    inputs = [t.clone().requires_grad_() for p in (first, second) for t in (p.loc, p.scale)]

    def merged(loc1, scale1, loc2, scale2):
        p = PrecisionWeightedNormal(dist.Normal(loc1, scale1), dist.Normal(loc2, scale2))
        return p.loc, p.scale

    assert torch.autograd.gradcheck(merged, inputs)


def test_equal_scales_share_the_gradient():
    scales = torch.ones(2, dtype=torch.float64, requires_grad=True)
    p = PrecisionWeightedNormal(dist.Normal(0.0, scales[0]), dist.Normal(0.0, scales[1]))
    (gradient,) = torch.autograd.grad(p.scale, scales)
    torch.testing.assert_close(gradient, torch.full_like(scales, 8**-0.5))


def test_accepts_independent_and_broadcasts():
    first, _ = two_normals(7, 3)
    p = PrecisionWeightedNormal(first.to_event(1), dist.Normal(torch.zeros(3), 1.0).to_event(1))
    assert p.batch_shape == (7, 3)
    assert p.to_event(1).event_shape == (3,)


def test_what_is_no_normal_is_refused():
    with pytest.raises(TypeError, match="got Laplace"):
        PrecisionWeightedNormal(dist.Normal(0.0, 1.0), dist.Laplace(0.0, 1.0))
