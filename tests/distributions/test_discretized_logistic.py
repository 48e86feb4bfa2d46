import itertools
import math

import mpmath
import pytest
import torch

from distributions import DiscretizedLogistic
from tests.contracts import assert_equal_up_to_rounding
from tests.distributions.goodness import z_score

LOCS = [-1e8, -50.0, -1.5, -1.0, -0.996, -0.3, 0.0, 0.1234567, 0.9, 1.0, 1.01, 3.0, 1e8]
LOG_SCALES = [-30.0, -20.0, -12.0, -7.0, -6.0, -5.0, -4.0, -3.0, -1.0, 0.0, 3.0, 7.0, 50.0, 1e4]


def extremes(dtype, levels=256, **options):
    loc = torch.tensor(LOCS, dtype=dtype)[:, None].requires_grad_()
    log_scale = torch.tensor(LOG_SCALES, dtype=dtype, requires_grad=True)
    return loc, log_scale, DiscretizedLogistic(loc, log_scale, levels=levels, **options)


@pytest.mark.parametrize("levels", [2, 3, 17, 32, 256])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-6)])
def test_masses_sum_to_one(levels, dtype, tolerance):
    *_, p = extremes(dtype, levels)
    total = p.log_prob(p.enumerate_support()).exp().sum(0)
    assert (total - 1).abs().max() <= tolerance


def test_masses_do_not_sum_to_one_with_a_wide_last_bin():
    """Control: what an edge test `x > 0.99` does, which takes 254 for the last level too."""
    p = DiscretizedLogistic(torch.tensor(1.0), torch.tensor(-2.0))
    log_mass = p.log_prob(p.enumerate_support())
    log_mass[254] = torch.logsumexp(log_mass[254:], 0)
    assert log_mass.exp().sum() - 1 > 0.1


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_gradients_are_finite(levels, dtype):
    loc, log_scale, p = extremes(dtype, levels)
    log_prob = p.log_prob(p.enumerate_support())
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(loc.grad).all()
    assert torch.isfinite(log_scale.grad).all()


def exact_log_mass(level, loc, log_scale, levels):
    """The definition, in 600 digits."""
    with mpmath.workdps(600):
        h, s = mpmath.mpf(1) / (levels - 1), mpmath.exp(mpmath.mpf(log_scale))
        x = 2 * level * h - 1

        def sigmoid(t):
            return 1 / (1 + mpmath.exp(-t))

        above = sigmoid((x + h - loc) / s) if level < levels - 1 else mpmath.mpf(1)
        below = sigmoid((x - h - loc) / s) if level > 0 else mpmath.mpf(0)
        return float(mpmath.log(above - below))


@pytest.mark.parametrize("levels", [2, 4, 256])
@pytest.mark.parametrize("log_scale", [-6.5, -5.0, -3.0, -1.0, 0.0, 2.0, 6.0, 20.0])
@pytest.mark.parametrize("loc", [-1.0, 0.3, 1.2])
def test_log_prob_is_the_definition(levels, log_scale, loc):
    p = DiscretizedLogistic(*torch.tensor([loc, log_scale], dtype=torch.float64), levels=levels)
    level = torch.tensor(sorted({0, 1, levels // 3, levels - 2, levels - 1}))
    expected = [exact_log_mass(int(k), loc, log_scale, levels) for k in level]
    log_prob = p.log_prob(p.enumerate_support()[level])
    torch.testing.assert_close(log_prob, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-13)


def test_gradient_is_the_derivative():
    loc = torch.randn(20, dtype=torch.float64, requires_grad=True)
    log_scale = torch.linspace(-4, 8, 20, dtype=torch.float64, requires_grad=True)
    x = torch.randint(0, 8, (20,)) / 3.5 - 1
    assert torch.autograd.gradcheck(
        lambda m, s: DiscretizedLogistic(m, s, levels=8).log_prob(x.double()), (loc, log_scale)
    )


@pytest.mark.parametrize("levels", [5, 256])
@pytest.mark.parametrize(("loc", "log_scale"), [(0.1, -4.0), (0.99, -2.0), (-1.3, -1.0), (0.5, 2.0)])
def test_samples_follow_log_prob(levels, loc, log_scale):
    p = DiscretizedLogistic(torch.tensor(loc), torch.tensor(log_scale), levels=levels)
    level = p.grid.level(p.sample((400_000,))).long()
    masses = p.log_prob(p.enumerate_support()).exp()
    assert abs(z_score(level.bincount(minlength=levels), masses)) < 5
    other = DiscretizedLogistic(torch.tensor(loc - 0.01), torch.tensor(log_scale + 0.1), levels=levels)
    control = other.log_prob(p.enumerate_support()).exp()
    assert z_score(level.bincount(minlength=levels), control) > 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_of_extreme_parameters_are_on_the_grid(dtype):
    *_, p = extremes(dtype)
    x = p.sample((2000,))
    assert p.support.check(x).all()
    assert not x.requires_grad


def test_mean_and_variance_are_those_of_samples():
    p = DiscretizedLogistic(torch.linspace(-1.5, 1.5, 7), torch.tensor([[-5.0], [-2.0], [0.0]]))
    x = p.sample((100_000,))
    error = p.stddev / 100_000**0.5
    assert ((x.mean(0) - p.mean).abs() <= 5 * error + 1e-6).all()
    masses = p.log_prob(p.enumerate_support()).exp()
    fourth = (masses * (p.enumerate_support() - p.mean) ** 4).sum(0)
    error = ((fourth - p.variance**2).clamp(min=0) / 100_000).sqrt()
    assert ((x.var(0) - p.variance).abs() <= 5 * error + 1e-6).all()


def test_mean_is_the_sum_of_survival_probabilities():
    loc = torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)
    p = DiscretizedLogistic(loc, torch.tensor(-2.0, dtype=torch.float64))
    edges = (2 * torch.arange(255, dtype=torch.float64)[:, None] + 1) / 255 - 1
    survival = torch.sigmoid((loc - edges) * math.exp(2)).sum(0)
    assert_equal_up_to_rounding(
        p.mean, 2 * survival / 255 - 1, operations=256, scale=4
    )  # up to 2 + 1, by sigmoids


def test_temperature_scales_the_logistic():
    p = DiscretizedLogistic(torch.tensor([0.0, 0.7, 2.0]), torch.tensor([-3.0, -1.0, 0.5]))
    variances = [p.with_temperature(t).variance for t in (0.25, 0.5, 1.0, 2.0)]
    assert all((a < b).all() for a, b in itertools.pairwise(variances))
    torch.testing.assert_close(p.with_temperature(0.5).log_scale, p.log_scale - math.log(2))
    torch.testing.assert_close(p.with_temperature(1.0).variance, p.variance)


def test_temperature_is_not_undone_by_the_minimum():
    p = DiscretizedLogistic(torch.tensor(0.0), torch.tensor(-9.0), min_log_scale=-7.0)
    assert p.with_temperature(0.5).log_scale == pytest.approx(-7 - math.log(2))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="temperature above 0"):
        DiscretizedLogistic(0.0, 0.0).with_temperature(temperature)


def test_min_log_scale_limits_the_scale_and_its_gradient():
    log_scale = torch.tensor([-20.0, -3.0], requires_grad=True)
    p = DiscretizedLogistic(torch.zeros(2), log_scale, min_log_scale=-7.0)
    q = DiscretizedLogistic(torch.zeros(2), torch.tensor([-7.0, -3.0]))
    x = torch.tensor([1.0, -1.0])
    torch.testing.assert_close(p.log_prob(x), q.log_prob(x))
    p.log_prob(x).sum().backward()
    assert log_scale.grad[0] == 0
    assert log_scale.grad[1] != 0


def test_parameters_broadcast():
    assert DiscretizedLogistic(0.0, -1.0).batch_shape == ()
    assert DiscretizedLogistic(torch.zeros(3, 1), torch.zeros(4)).batch_shape == (3, 4)


def test_support_is_enumerated_as_pyro_expects():
    p = DiscretizedLogistic(torch.zeros(3, 4), torch.zeros(()), levels=5)
    assert p.enumerate_support().shape == (5, 3, 4)
    assert p.enumerate_support(expand=False).shape == (5, 1, 1)


def test_parameters_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="log_scale"):
        DiscretizedLogistic(torch.zeros(2), torch.tensor([0.0, float("nan")]), validate_args=True)


def test_value_that_is_no_tensor_is_refused():
    with pytest.raises(ValueError, match="must be a Tensor"):
        DiscretizedLogistic(0.0, 0.0, validate_args=True).log_prob(1.0)
