"""The systems under a VampPrior."""

import math

import pyro.distributions as dist
import pytest
import torch
from torch import nn

from tests.catalogue import images, pair
from tests.contracts import dependencies
from tests.linear_gaussian import two_layers
from zoo import StandardNormal, TwoLevelGuide, TwoLevelVAE, VampPrior, log_likelihood, log_weights
from zoo.errors import UsageError
from zoo.models.hvae_vamp import conv_hvae_vamp, hvae_vamp, pixel_hvae_vamp
from zoo.models.vamp_vae import vamp_vae

MNIST = (1, 28, 28)
PSEUDO_INPUTS = 392_000
HIDDEN_BY_MASKS = 3 * 64 + 7 * 3 * 64 * 64  # the rows below of 3 x 3 windows, which are not stored


@pytest.mark.parametrize(
    ("builder", "count"),
    [
        (vamp_vae, 1_116_864),
        (hvae_vamp, 2_431_024),
        (conv_hvae_vamp, 2_210_861),
        (pixel_hvae_vamp, 1_385_821 - HIDDEN_BY_MASKS),
    ],
)
def test_sizes_are_the_papers(builder, count):
    with torch.device("meta"):
        both = nn.ModuleList(builder(MNIST))
    assert sum(p.numel() for p in both.parameters()) == count + PSEUDO_INPUTS


@pytest.mark.parametrize("builder", [conv_hvae_vamp, pixel_hvae_vamp])
def test_another_number_of_channels_is_named(builder):
    with torch.device("meta"), pytest.raises(UsageError, match=r"four numbers in channels.*got \(8, 8\)"):
        builder(MNIST, channels=(8, 8))


@pytest.mark.parametrize("name", ["hvae + vamp", "convolutional hvae + vamp"])
def test_dependencies_are_those_of_the_factorisation(name):
    model, guide = pair(name)
    assert dependencies(model, guide, images()) == {
        "q(z_2)": {"x"},
        "q(z_1)": {"x", "z_2"},
        "p(z_2)": set(),
        "p(z_1)": {"z_2"},
        "p(x)": {"z_1", "z_2"},
    }


def test_log_variances_are_bounded():
    _, guide = pair("vamp vae")
    x = 1e4 * torch.randn(50, 1, 6, 5).double()
    log_variance = 2 * guide.head(x).base_dist.scale.log()
    torch.testing.assert_close(log_variance.min().item(), -6.0)
    torch.testing.assert_close(log_variance.max().item(), 2.0)


# Two levels whose evidence is known: x and z_1 are linear in what is above them, with normal noise.


class Linear(nn.Module):
    """N(A b, noise^2) over a vector or an image, for the vectors b side by side."""

    def __init__(self, weight, noise, shape):
        super().__init__()
        self.weight, self.noise, self.shape = weight, noise, shape

    def forward(self, b):
        below_first = torch.cat([*reversed(b)], dim=1) if isinstance(b, tuple) else b  # z_2 before z_1
        loc = (below_first @ self.weight.T).reshape(-1, *self.shape)
        return dist.Normal(loc, self.noise).to_event(len(self.shape))


class Exact(nn.Module):
    """The posterior of a linear-Gaussian toy as a head."""

    event_shape = (1,)

    def __init__(self, law, name):
        super().__init__()
        self.law, self.name = law, name

    def encode(self, x):
        return x

    def distribution(self, x):
        return self.law.posterior(self.name, x=x)

    def forward(self, b):
        if self.name == "z_2":
            return self.distribution(b)
        x, z_2 = b
        return self.law.posterior("z_1", x=x, z_2=z_2)


def two_levels(law, prior):
    conditional = Linear(law.maps["z_1"], law.noise, (1,))
    model = TwoLevelVAE(prior, conditional, Linear(law.maps["x"], law.noise, law.shape))
    return model, TwoLevelGuide(Exact(law, "z_2"), nn.Identity(), Exact(law, "z_1"))


def test_every_weight_is_the_evidence_under_the_exact_posteriors():
    law = two_layers()
    model, guide = two_levels(law, StandardNormal(1).double())
    x = law.images()
    weights = log_weights(model, guide, x, 5, seed=0)
    torch.testing.assert_close(weights, law.log_evidence(x).expand(5, -1), rtol=0, atol=1e-9)


def test_bounds_rise_to_the_evidence_under_a_vamp_prior():
    """Of a mixture of three normals over z_2, of which x is a mixture of three normals too."""
    law = two_layers()
    _, guide = two_levels(law, None)
    prior = VampPrior(1, posterior=guide.top, image_shape=law.shape, num_pseudo_inputs=3).double()
    with torch.no_grad():
        prior.raw.copy_(torch.rand(prior.raw.shape))
    model, _ = two_levels(law, prior)
    x = law.images(3)
    exact = log_evidence_under(law, guide.top(prior.pseudo_inputs), x)
    found = log_likelihood(model, guide, x, 4000, seed=0)
    assert (found.elbo < found.log_likelihood).all()
    assert ((found.log_likelihood - exact).abs() < 4 * found.sampling_stderr).all()
    assert found.sampling_stderr.max() < 0.1


def log_evidence_under(law, components, x):
    """Log 1/C sum_c N(x; c): z_2 from one of the components, z_1 and x linear in it."""
    of_z2, of_z1 = law.maps["x"].split(1, dim=1)
    slope = of_z2 + of_z1 @ law.maps["z_1"]  # dx/dz_2, by way of z_1 too
    noise = law.noise**2 * (of_z1 @ of_z1.T + torch.eye(3).double())
    loc, variance = components.mean, components.variance
    laws = dist.MultivariateNormal(loc @ slope.T, variance[..., None] * (slope @ slope.T) + noise)
    return laws.log_prob(x.flatten(1)[:, None]).logsumexp(1) - math.log(len(loc))
