"""Densities of images: the bound, the exact probability, and the systems."""

import math

import pyro.distributions as dist
import pytest
import torch
from torch import nn

import zoo
from flows import AffineCoupling, Quantized, checkerboard, transformed
from tests.catalogue import density, experiment, learned_noise
from tests.contracts import seeded
from zoo import Dequantization, FlowDensity
from zoo.analysis.sampling import tempered
from zoo.errors import UsageError
from zoo.infer.joint import Joint

SHAPE = (1, 1, 3)
LEVELS = 5


class Normals(nn.Module):
    """p(y) = N(0.4, 0.3^2) of every pixel: a density whose bins have known masses."""

    def __init__(self):
        super().__init__()
        self.register_buffer("loc", torch.full(SHAPE, 0.4, dtype=torch.float64))

    def forward(self):
        return dist.Normal(self.loc, 0.3).to_event(3)


def grid(n=4, levels=LEVELS, shape=SHAPE):
    generator = torch.Generator().manual_seed(n)
    return torch.randint(levels, (n, *shape), generator=generator).double() / (levels - 1)


def log_mass(x):
    """Log P(x) of the bins [k / L, (k + 1) / L), by the normal distribution function."""
    p, k = dist.Normal(0.4, 0.3), (x * (LEVELS - 1)).round()
    return (p.cdf((k + 1) / LEVELS) - p.cdf(k / LEVELS)).log().flatten(1).sum(1)


def test_importance_samples_reach_the_mass_of_the_bins_from_below():
    model, guide, x = FlowDensity(Normals(), levels=LEVELS), Dequantization(LEVELS), grid()
    result = zoo.log_likelihood(model, guide, x, 20_000, seed=0)
    exact = log_mass(x)
    assert (result.elbo < exact).all()
    assert ((result.log_likelihood - exact).abs() < 4.5 * result.sampling_stderr).all()
    torch.testing.assert_close(result.log_likelihood, exact, rtol=0, atol=0.01)


def test_the_bound_rises_with_the_samples():
    model, guide, x = FlowDensity(Normals(), levels=LEVELS), Dequantization(LEVELS), grid(200)
    means = [zoo.log_likelihood(model, guide, x, k, seed=1).mean for k in (1, 5, 50)]
    assert means == sorted(means)
    assert means[-1] < log_mass(x).mean() + 0.01


@pytest.mark.parametrize("levels", [17, 256])
def test_a_uniform_density_costs_the_bits_of_the_levels(levels):
    class Uniform(nn.Module):
        def forward(self):
            return dist.Uniform(torch.zeros(SHAPE).double(), torch.ones(SHAPE).double()).to_event(3)

    model, guide = FlowDensity(Uniform(), levels=levels), Dequantization(levels)
    result = zoo.log_likelihood(model, guide, grid(levels=levels), 3)
    assert result.bits_per_dim == pytest.approx(math.log2(levels), abs=1e-9)


def test_the_sites_are_those_of_the_factorisation():
    model, guide = density((1, 4, 4))
    x = torch.zeros(2, 1, 4, 4)
    sites = Joint(model, guide, x).sample()
    assert set(sites) == {"x", "y"}
    assert sites["x"].observed
    assert torch.equal(sites["x"].prior.y, sites["y"].value)


def test_an_image_is_its_own_reconstruction():
    model, guide = density((1, 4, 4), noise=learned_noise((1, 4, 4)))
    x = torch.rand(3, 1, 4, 4).round()
    assert torch.equal(zoo.reconstruct(model, guide, x), x)


def test_samples_are_on_the_grid_and_as_frequent_as_the_bins():
    model = FlowDensity(Normals(), levels=LEVELS)
    x = seeded(zoo.sample, model, 40_000)
    levels = x * (LEVELS - 1)
    assert torch.equal(levels, levels.round())
    p = dist.Normal(0.4, 0.3)
    inner = (p.cdf(torch.tensor(0.6)) - p.cdf(torch.tensor(0.4))).item()
    share = (levels == 2).double().mean().item()
    assert abs(share - inner) < 4.5 * math.sqrt(inner * (1 - inner) / x.numel())


@pytest.mark.parametrize("prior", [zoo.StandardNormal, zoo.StandardLogistic])
def test_temperature_scales_the_noise_before_the_flow(prior):
    density = transformed(prior(SHAPE), AffineCoupling(SHAPE, mask=checkerboard(SHAPE), hidden=(4,)))
    p = density()
    cold = tempered(p, 0.5)
    expected = p.transforms[0](0.5 * seeded(p.base_dist.sample))
    torch.testing.assert_close(seeded(cold.sample), expected)
    assert torch.equal(seeded(cold.rsample).detach(), seeded(cold.sample))


def test_learned_noise_starts_as_uniform_noise():
    """With couplings at the identity u is the sigmoid of a logistic variable."""
    from zoo.models.flow_plus_plus import coupled_noise

    x = torch.rand(3, 1, 4, 4).round()
    guide = Dequantization(2, noise=coupled_noise((1, 4, 4), layers=2, channels=4, components=2))
    q = guide.head(x)
    torch.testing.assert_close(q.log_prob(q.sample()), torch.full((3,), 16 * math.log(2)), rtol=0, atol=1e-3)


def test_both_noises_bound_the_same_probability():
    """Learned noise is another guide of the same model."""
    model, guide = (m.double() for m in density((1, 1, 2)))
    _, learned = density((1, 1, 2), noise=learned_noise((1, 1, 2)))
    x = torch.tensor([[0.0, 1.0], [1.0, 1.0]]).double().view(2, 1, 1, 2)
    first, second = (zoo.log_likelihood(model, g, x, 20_000, seed=0) for g in (guide, learned.double()))
    difference = first.log_likelihood - second.log_likelihood
    error = (first.sampling_stderr.square() + second.sampling_stderr.square()).sqrt()
    assert (difference.abs() < 5 * error).all()


SYSTEMS = {
    "NICE": lambda: zoo.NICE((1, 8, 8), levels=17, layers=2, hidden=(8,)),
    "RealNVP": lambda: zoo.RealNVP((1, 8, 8), levels=17, layers=1, hidden=(8,)),
    "Glow": lambda: zoo.Glow((1, 8, 8), levels=17, depth=1, hidden=(8,)),
    "FlowPlusPlus": lambda: zoo.FlowPlusPlus((1, 8, 8), levels=17, layers=(1, 1, 1), width=4, blocks=1),
    "MAF": lambda: zoo.MAF((1, 8, 8), levels=17, layers=2, hidden=(8,)),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_learn(name):
    """A few steps lower the bound on the images that they are taken on."""
    model, guide = SYSTEMS[name](), Dequantization(17)
    loss = zoo.ELBO()(model, guide).train()
    x = (torch.rand(20, 1, 8, 8) * 4).round() / 16
    optimiser = torch.optim.Adam(loss.parameters(), 1e-2)
    first = seeded(loss, x).item()
    for _ in range(15):
        optimiser.zero_grad()
        loss(x).backward()
        optimiser.step()
    assert seeded(loss, x).item() < first - 1
    assert zoo.sample(loss.model, 2).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("name", ["glow_digits", "flow_plus_plus_digits"])
def test_an_odd_side_is_refused_in_one_line(name):
    with pytest.raises(UsageError, match="even height and width; got 7 x 8") as refused:
        experiment(name, (1, 7, 8))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 1}, "2 <= levels < 257; got 1"),
        ({"alpha": 0.5}, "0 <= alpha < 0.5; got 0.5"),
        ({"hidden": (0,)}, "hidden >= 1"),
        ({"scales": 9}, "can be halved"),
        ({"layers": 0}, "layers >= 1; got 0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        zoo.build("real_nvp_digits", **options)


def test_wrong_levels_are_refused():
    with pytest.raises(ValueError, match="support"):
        Quantized(torch.zeros(1, 1, 2), 4, validate_args=True).log_prob(torch.full((1, 1, 2), 0.5))
