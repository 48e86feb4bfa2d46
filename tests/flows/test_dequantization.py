"""Dequantisation: bins, noise in them, and the probabilities that a density of y gives to images."""

import copy
import itertools
import math
import pickle

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.distributions.transforms import SigmoidTransform

from distributions import rsample_and_log_prob
from flows import (
    AffineCoupling,
    Composed,
    Logit,
    Quantized,
    UniformDequantization,
    VariationalDequantization,
    checkerboard,
)
from flows.dequantization import Bins, BinTransform

SHAPE = (1, 1, 2)
DTYPES = [torch.float32, torch.float64]
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def randomised(flow, *, seed=0, std=0.5):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for parameter in flow.parameters():
            nn.init.normal_(parameter, std=std)
    return flow.double()


def couplings(context=None, seed=0, std=0.5):
    parts = [
        AffineCoupling(SHAPE, mask=checkerboard(SHAPE, flip=flip), hidden=(4,), context=context)
        for flip in (False, True)
    ]
    return randomised(Composed(parts), seed=seed, std=std)


def flow_density():
    """p(y) on (0, 1)^2, with nothing outside."""
    zeros = torch.zeros(SHAPE, dtype=torch.float64)
    base = dist.Normal(zeros, zeros + 1).to_event(3)
    return dist.TransformedDistribution(base, [couplings(), SigmoidTransform()])


def noise(x):
    """Conditional flow noise for images x; of a logistic base, for a normal one leaves the edges too thin."""
    zeros = torch.zeros(SHAPE, dtype=torch.float64)
    base = dist.Logistic(zeros, zeros + 1).to_event(3)
    flow = Composed([couplings(context=SHAPE, seed=1, std=0.2), Logit(SHAPE, alpha=0.0)])
    return dist.TransformedDistribution(base, [flow.condition(x)])


def every_image(levels, dtype=torch.float64):
    """All levels^2 images of two pixels."""
    pixels = torch.arange(levels, dtype=dtype) / (levels - 1)
    return torch.cartesian_prod(pixels, pixels).view(-1, *SHAPE)


def quadrature(order):
    """Noise (N, 1, *SHAPE) and weights of Gauss and Legendre's rule, nodes drawn to the ends."""
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(order))
    t, weights = (nodes + 1) / 2, weights / 2
    u, weights = t**2 * (3 - 2 * t), weights * 6 * t * (1 - t)
    return torch.cartesian_prod(u, u).view(-1, 1, *SHAPE), torch.cartesian_prod(weights, weights).prod(1)


def mass(density, x, levels, order=40):
    """The integral of a density over the bin of each image."""
    u, weights = quadrature(order)
    k = (x * (levels - 1)).round()
    with torch.no_grad():
        p = density.log_prob((k + u) / levels).exp()
    return torch.einsum("nb, n -> b", p, weights) / levels**2


def log_mean_exp(weights):
    return weights.logsumexp(0) - math.log(len(weights))


def log_weights(density, q, samples):
    with torch.no_grad():
        y = q.sample((samples,))
        return density.log_prob(y) - q.log_prob(y)


def grid(levels, dtype):
    """One image of every level, (1, levels, 1, 1)."""
    return (torch.arange(levels, dtype=dtype) / (levels - 1)).view(1, levels, 1, 1)


@dtypes
def test_noise_never_leaves_the_bin(dtype):
    """The largest and the smallest noise that there are, and what lies between, at 2 to 256 levels."""
    extremes = torch.tensor([0.0, torch.finfo(dtype).tiny, 0.5, 1.0 - torch.finfo(dtype).eps / 2, 1.0])
    u = extremes.to(dtype).view(-1, 1, 1, 1)
    for levels in range(2, 257):
        x = grid(levels, dtype)
        into = BinTransform(x, levels)
        y = into(u.expand(-1, levels, 1, 1))
        assert torch.equal(Quantized(y, levels).sample(), x.expand_as(y)), levels
        assert into.codomain.check(y).all(), levels


@dtypes
def test_quantising_a_sample_gives_the_image_back(dtype):
    for levels in range(2, 257):
        x = grid(levels, dtype)
        q = UniformDequantization(x, levels)
        y = q.sample((20,))
        p = Quantized(y, levels)
        assert torch.equal(p.sample(), x.expand(20, *x.shape)), levels
        assert torch.equal(p.mean, p.sample())
        assert (p.log_prob(x) == 0).all()
        expected = torch.full((20, 1), levels * math.log(levels), dtype=dtype)
        torch.testing.assert_close(q.log_prob(y), expected)


@dtypes
@pytest.mark.parametrize("levels", [2, 7, 17, 49, 256])
def test_bins_neither_overlap_nor_leave_a_gap(levels, dtype):
    """The floats at and just below every edge."""
    bins = Bins(levels)
    k = torch.arange(1, levels, dtype=dtype)
    edges = bins.lower_edge(k)
    assert torch.equal(bins.containing(edges), k)
    assert torch.equal(bins.containing(torch.nextafter(edges, torch.zeros_like(edges))), k - 1)


@pytest.mark.parametrize(("y", "x"), [(-3.0, 0.0), (0.0, 0.0), (1.0, 1.0), (1.3, 1.0), (1e30, 1.0)])
def test_what_lies_beyond_the_ends_belongs_to_the_first_and_the_last_level(y, x):
    p = Quantized(torch.full(SHAPE, y), 17)
    assert (p.sample() == x).all()
    assert p.log_prob(torch.full(SHAPE, x)) == 0


def test_a_wrong_pixel_makes_an_image_impossible():
    p = Quantized(torch.tensor([0.1, 0.6]).view(SHAPE), 4)
    images = every_image(4, torch.float32)
    assert p.batch_shape == ()
    assert p.event_shape == SHAPE
    assert p.log_prob(images).exp().sum() == 1
    assert p.log_prob(p.sample()) == 0


@pytest.mark.parametrize("wrong", [0.3, -1.0, 2.0, math.nan])
def test_pixels_off_the_grid_are_refused(wrong):
    p = Quantized(torch.zeros(SHAPE), 4, validate_args=True)
    with pytest.raises(ValueError, match="support"):
        p.log_prob(torch.full(SHAPE, wrong))


@pytest.mark.parametrize("levels", [1, 0, -3])
def test_fewer_than_two_levels_are_refused(levels):
    with pytest.raises(ValueError, match="at least 2 levels"):
        Quantized(torch.zeros(SHAPE), levels)


def test_the_probabilities_of_all_images_sum_to_one():
    """Up to the error of the rule: the networks' ReLUs have kinks."""
    assert mass(flow_density(), every_image(4), 4).sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("levels", "bits"), [(256, 8.0), (17, math.log2(17)), (2, 1.0)])
def test_a_uniform_density_costs_the_bits_of_the_levels(levels, bits):
    generator = torch.Generator().manual_seed(0)
    k = torch.randint(levels, (5, 3, 4, 4), generator=generator)
    x = k.double() / (levels - 1)
    density = dist.Uniform(torch.zeros_like(x), torch.ones_like(x)).to_event(3)
    elbo = log_weights(density, UniformDequantization(x, levels), 3)
    per_dim = -elbo / (48 * math.log(2))
    torch.testing.assert_close(per_dim, torch.full_like(per_dim, bits), rtol=0, atol=1e-12)


DEQUANTISATIONS = {
    "uniform": lambda x: UniformDequantization(x, 4),
    "variational": lambda x: VariationalDequantization(x, 4, noise(x)),
}
dequantisations = pytest.mark.parametrize("make", DEQUANTISATIONS.values(), ids=DEQUANTISATIONS)


@dequantisations
def test_the_bound_is_below_the_probability_and_importance_samples_reach_it(make):
    x, density = every_image(4), flow_density()
    exact = mass(density, x, 4).log()
    weights = log_weights(density, make(x), 8_000)
    error = weights.std(0) / math.sqrt(len(weights))
    assert (weights.mean(0) < exact + 4 * error).all()
    assert (weights.mean(0) < exact).any()
    ratio = (weights - exact).exp()
    errors = ratio.std(0) / math.sqrt(len(ratio))
    assert ((ratio.mean(0) - 1).abs() < 4.5 * errors).all()
    torch.testing.assert_close(log_mean_exp(weights), exact, rtol=0, atol=0.05)


@dequantisations
def test_the_noise_is_a_density_on_the_bin(make):
    """Its integral over the bin is 1, and there is nothing outside."""
    x = every_image(4)[::3]  # the corners, and what lies between
    q = make(x)
    inside = mass(q, x, 4, order=160)
    torch.testing.assert_close(inside, torch.ones_like(inside), rtol=0, atol=1e-5)
    q._validate_args = False
    assert (q.log_prob((x * 3).round() / 4 - 1e-6) == -math.inf).all()
    assert (q.log_prob(((x * 3).round() + 1) / 4) == -math.inf).all()


@dequantisations
def test_samples_are_reparameterised_and_in_the_support(make):
    q = make(every_image(4).requires_grad_())
    y = q.rsample((5,))
    assert q.has_rsample
    assert q.batch_shape == (16,)
    assert q.event_shape == SHAPE
    assert y.shape == (5, 16, *SHAPE)
    assert q.support.check(y).all()


@dequantisations
def test_a_value_made_elsewhere_has_the_density_of_one_just_drawn(make):
    q = make(every_image(4))
    y, log_prob = rsample_and_log_prob(q, (7,))
    torch.testing.assert_close(q.log_prob(y), log_prob, rtol=0, atol=1e-9)


def test_learned_noise_is_drawn_and_scored_in_one_pass():
    calls = []
    x = every_image(4)
    q = VariationalDequantization(x, 4, noise(x))
    net = q.base_dist.transforms[0].flow.flows[0].flows[0].net
    net.register_forward_hook(lambda *_: calls.append(1))
    rsample_and_log_prob(q)[1].sum().backward()
    assert len(calls) == 1
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
@dequantisations
def test_any_batch(make, batch):
    x = torch.zeros(*batch, *SHAPE, dtype=torch.float64)
    q = make(x)
    y = q.rsample()
    assert q.batch_shape == batch
    assert y.shape == x.shape
    assert q.log_prob(y).shape == batch
    assert Quantized(y, 4).log_prob(x).shape == batch


@dequantisations
def test_expanded_distributions_are_the_same_on_more_rows(make):
    x = every_image(4)[:3]
    q = make(x)
    wide = q.expand([5, 3])
    y = wide.rsample()
    assert type(wide) is type(q)
    assert wide.batch_shape == (5, 3)
    assert y.shape == (5, 3, *SHAPE)
    torch.testing.assert_close(wide.log_prob(y), q.log_prob(y))
    p = Quantized(y[0], 4)
    assert p.expand([5, 3]).batch_shape == (5, 3)
    assert torch.equal(p.expand([5, 3]).sample()[2], p.sample())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda q: pickle.loads(pickle.dumps(q))])
@dequantisations
def test_copies_have_the_same_density(make, copied):
    q = make(every_image(4))
    y = q.sample().clone()
    with torch.no_grad():
        torch.testing.assert_close(copied(q).log_prob(y), q.log_prob(y))


@dtypes
def test_the_type_is_kept(dtype):
    x = every_image(4, dtype)
    y = UniformDequantization(x, 4).sample()
    assert y.dtype == UniformDequantization(x, 4).log_prob(y).dtype == dtype
    assert Quantized(y, 4).sample().dtype == Quantized(y, 4).log_prob(x).dtype == dtype


@pytest.mark.parametrize("levels", [17, 256])
def test_pixels_are_the_floats_of_the_unit_encoding(levels):
    from zoo.data import Unit

    k = torch.arange(levels, dtype=torch.uint8).view(1, 1, -1)
    x = Unit()(k, levels)
    assert torch.equal(Quantized(UniformDequantization(x, levels).sample(), levels).sample(), x)


def test_a_grey_level_is_as_likely_as_its_bin_is_wide():
    """P(x) of a normal y is the difference of its distribution function at the edges."""
    levels = 5
    p = dist.Normal(0.4, 0.2)
    y = p.sample((100_000, *SHAPE)).double()
    counts = (Quantized(y, levels).sample() * (levels - 1)).round().long().flatten().bincount()
    edges = torch.tensor([-math.inf, 0.2, 0.4, 0.6, 0.8, math.inf])
    expected = torch.tensor([(p.cdf(b) - p.cdf(a)).item() for a, b in itertools.pairwise(edges)])
    error = (expected * (1 - expected) / counts.sum()).sqrt()
    assert ((counts / counts.sum() - expected).abs() < 4.5 * error).all()
