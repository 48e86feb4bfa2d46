"""Increasing maps of one variable: monotone, sure of their slope, and equal to what their papers say."""

import pytest
import torch
from pyro.distributions.transforms.spline import _monotonic_rational_spline

from flows import LogisticMixtureCoupling, SplineCoupling
from flows.univariate import Additive, Affine, Inverted, LogisticMixture, RationalQuadraticSpline

MAPS = {
    "affine": Affine(),
    "additive": Additive(),
    "mixture of 1": LogisticMixture(1),
    "mixture of 4": LogisticMixture(4),
    "mixture, wide bound": LogisticMixture(3, bound=6.0),
    "inverted mixture": Inverted(LogisticMixture(3)),
    "spline of 2": RationalQuadraticSpline(2),
    "spline of 8": RationalQuadraticSpline(8, bound=3.0),
    "spline with wide bins": RationalQuadraticSpline(4, least=0.2),
}
maps = pytest.mark.parametrize("name", MAPS)
mixtures = pytest.mark.parametrize("components", [1, 2, 8])


def parameters(f, count, *, scale=1.0, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(f.size, count, dtype=torch.float64, generator=generator)).to(dtype)


def normal(count, *, scale=1.0, dtype=torch.float64):
    return (scale * torch.randn(count, dtype=torch.float64)).to(dtype)


@maps
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_zero_parameters_are_the_identity(name, dtype):
    f, x = MAPS[name], torch.linspace(-100, 100, 401, dtype=dtype)
    for pass_ in (f, f.inverse):
        y, log_slope = pass_(x, x.new_zeros(f.size, len(x)))
        rounding = 8 * torch.finfo(dtype).eps
        torch.testing.assert_close(y, x, rtol=rounding, atol=rounding)
        torch.testing.assert_close(log_slope, torch.zeros_like(x), rtol=0, atol=4 * rounding)


@maps
def test_slope_matches_autograd(name):
    f, x = MAPS[name], normal(500, scale=4.0)
    p = parameters(f, 500)
    for pass_ in (f, f.inverse):
        x = x.detach().requires_grad_()
        y, log_slope = pass_(x, p)
        (slope,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(log_slope, slope.log(), rtol=1e-9, atol=1e-9)


@maps
def test_gradients_in_parameters_match_finite_differences(name):
    f = MAPS[name]
    x, p = normal(6, scale=2.0).requires_grad_(), parameters(f, 6).requires_grad_()
    assert torch.autograd.gradcheck(f, (x, p))
    assert torch.autograd.gradcheck(f.inverse, (x, p))


@maps
def test_increasing(name):
    f, x = MAPS[name], torch.linspace(-12, 12, 4001, dtype=torch.float64)
    y, _ = f(x, parameters(f, 1).expand(-1, len(x)))
    assert (y.diff() > 0).all()


@maps
@pytest.mark.parametrize("scale", [20.0, 100.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_far_away_the_inverse_is_accurate_and_gradients_are_finite(name, scale, dtype):
    f = MAPS[name]
    y, p = normal(2000, scale=scale, dtype=dtype).requires_grad_(), parameters(f, 2000, dtype=dtype)
    p.requires_grad_()
    x, log_slope = f.inverse(y, p)
    again, log_slope_again = f(x, p)
    accuracy = 400 * torch.finfo(dtype).eps  # of x and y, through slopes of up to exp(3)
    reach = 1 + y.abs() + x.abs() * log_slope_again.exp()
    assert ((again - y).abs() <= accuracy * reach).all()
    assert log_slope.isfinite().all()
    for gradient in torch.autograd.grad(again.sum() + log_slope.sum(), (y, p)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["mixture of 4", "spline of 8"])
def test_single_precision_round_trip(name):
    """For parameters as networks give them; plateaus between far components lose digits in any precision."""
    f = MAPS[name]
    x, p = normal(5000, scale=20.0, dtype=torch.float32), parameters(f, 5000, scale=0.5, dtype=torch.float32)
    y, _ = f(x, p)
    torch.testing.assert_close(f.inverse(y, p)[0], x, rtol=4e-6, atol=1e-5)


@mixtures
def test_mixture_equals_the_formula(components):
    """Written out; where nothing saturates."""
    f, x = LogisticMixture(components, bound=3.0), normal(1000)
    p = parameters(f, 1000, scale=0.3)
    raw, a, b = p[:-2].unflatten(0, (3, components)), *p[-2:]
    gains = (2 * torch.arange(components)[:, None] + 1) / components
    scales, a = (3 * torch.tanh(t / 3) for t in (raw[2], a))
    cdf = (raw[0].softmax(0) * torch.sigmoid((x - gains * raw[1]) / scales.exp())).sum(0)
    y, _ = f(x, p)
    torch.testing.assert_close(y, a.exp() * (torch.log(cdf) - torch.log(1 - cdf)) + b, rtol=1e-9, atol=1e-9)


def test_mixture_far_out_is_affine():
    """Its slope there is that of the widest component."""
    f, p = LogisticMixture(2, bound=3.0), torch.zeros(8, 2, dtype=torch.float64)
    p[4:6] = torch.tensor([[0.5], [-0.5]])  # log scales
    x = torch.tensor([-1e6, 1e6], dtype=torch.float64)
    expected = torch.full_like(x, -3 * torch.tanh(torch.tensor(0.5 / 3, dtype=torch.float64)).item())
    torch.testing.assert_close(f(x, p)[1], expected)


@mixtures
def test_plateaus_keep_everything_finite(components):
    """Means thousands of scales apart: the slope between them is below what the type holds."""
    f = LogisticMixture(components, bound=6.0)
    p = torch.zeros(f.size, 401)
    p[components : 2 * components] = torch.linspace(-500, 500, components)[:, None]
    p[2 * components : 3 * components] = -6.0
    x, p = torch.linspace(-1000, 1000, 401).requires_grad_(), p.requires_grad_()
    for pass_ in (f, f.inverse):
        y, log_slope = pass_(x, p)
        assert y.isfinite().all()
        assert log_slope.isfinite().all()
    y, log_slope = f(x, p)
    for gradient in torch.autograd.grad(y.sum() + log_slope.sum(), (x, p)):
        assert gradient.isfinite().all()


def test_equal_components_come_apart():
    """From zero parameters, by Adam, to a density with two modes that one logistic cannot have."""
    data = torch.cat([normal(200) * 0.3 - 2, normal(200) * 0.3 + 2])
    losses = {k: _fitted(LogisticMixture(k), data) for k in (1, 4)}
    assert losses[4] < losses[1] - 0.3


def _fitted(f, data):
    free = torch.zeros(f.size, 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([free], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        y, log_slope = f(data, free.expand(-1, len(data)))
        loss = (0.5 * y**2 - log_slope).mean()
        loss.backward()
        optimizer.step()
    return loss.item()


@pytest.mark.parametrize("bins", [2, 8])
@pytest.mark.parametrize("inverse", [False, True])
def test_spline_equals_pyro(bins, inverse):
    f, x = RationalQuadraticSpline(bins, bound=3.0), normal(2000, scale=2.0)
    p = parameters(f, 2000)
    widths, heights, slopes = p.split([bins, bins, bins - 1])
    slopes = 1e-3 + 0.999 * torch.nn.functional.softplus(
        slopes + torch.expm1(torch.tensor(1.0).double()).log()
    )
    y, log_slope = (f.inverse if inverse else f)(x, p)
    expected = _monotonic_rational_spline(
        x, widths.softmax(0).T, heights.softmax(0).T, slopes.T, inverse=inverse, bound=3.0, min_derivative=0.0
    )
    torch.testing.assert_close(y, expected[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(log_slope, expected[1], rtol=0, atol=1e-6)


def test_spline_at_its_knots_and_beyond():
    """Continuous with its slope at every knot, fixed at the ends, the identity outside."""
    f = RationalQuadraticSpline(5, bound=2.0)
    p = parameters(f, 1)
    knots = f._knots(p)
    for edges, others, pass_ in ((knots.x, knots.y, f), (knots.y, knots.x, f.inverse)):
        at = edges[:, 0]
        y, log_slope = pass_(at, p.expand(-1, 6))
        torch.testing.assert_close(y, others[:, 0])
        below, log_slope_below = pass_(at - 1e-12, p.expand(-1, 6))
        torch.testing.assert_close(below, y, rtol=0, atol=1e-8)
        torch.testing.assert_close(log_slope_below, log_slope, rtol=0, atol=1e-6)
    x = torch.tensor([-1e30, -2.5, -2.0, 2.0, 2.5, 1e30], dtype=torch.float64)
    for pass_ in (f, f.inverse):
        y, log_slope = pass_(x, p.expand(-1, 6))
        torch.testing.assert_close(y, x)
        torch.testing.assert_close(log_slope, torch.zeros_like(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_spline_of_extreme_bins_stays_finite_and_inside(dtype):
    f = RationalQuadraticSpline(8)
    x = torch.linspace(-6, 6, 3001, dtype=dtype, requires_grad=True)
    p = parameters(f, 3001, scale=30.0, dtype=dtype).requires_grad_()
    for pass_ in (f, f.inverse):
        y, log_slope = pass_(x, p)
        assert log_slope.isfinite().all()
        assert (y.abs() <= torch.maximum(x.abs(), torch.tensor(5.0001))).all()
        for gradient in torch.autograd.grad(y.sum() + log_slope.sum(), (x, p)):
            assert gradient.isfinite().all()


@maps
def test_vmap_agrees(name):
    f, x = MAPS[name], normal(12).reshape(4, 3)
    p = parameters(f, 12).reshape(-1, 4, 3)
    for pass_ in (f, f.inverse):
        together = pass_(x, p)
        apart = torch.vmap(pass_, in_dims=(0, 1))(x, p)
        torch.testing.assert_close(apart, together, rtol=0, atol=1e-12)


def test_options_reach_the_maps():
    assert LogisticMixtureCoupling(4, components=5, bound=1.5).univariate.original == LogisticMixture(5, 1.5)
    assert SplineCoupling(4, bins=5, bound=2.0).univariate == RationalQuadraticSpline(5, 2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogisticMixture(0), "at least 1 component; got components=0"),
        (lambda: LogisticMixture(bound=0.0), "positive bound.*got bound=0.0"),
        (lambda: RationalQuadraticSpline(1), "at least 2 bins; got bins=1"),
        (lambda: RationalQuadraticSpline(bound=-1.0), "positive bound.*got bound=-1.0"),
        (lambda: RationalQuadraticSpline(20, least=0.05), "20 bins.*below 0.05.*got least=0.05"),
        (lambda: LogisticMixtureCoupling(4, components=-1), "got components=-1"),
        (lambda: SplineCoupling(4, bins=0), "got bins=0"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
