"""Active units: Cov_x(E_q[u | x]) > 0.01, whatever the noise."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

import zoo
from zoo.analysis.active_units import active_units, activity

UNITS, BATCH = 6, 200


class Chain(zoo.Program):
    """z_2 -> z_1 -> x, all of one size."""

    def forward(self, x=None, *, n=None):
        with zoo.batch_plate():
            rows = len(x) if x is not None else n
            z_2 = zoo.latent("z_2", normal(torch.zeros(rows, UNITS)), layer=2)
            z_1 = zoo.latent("z_1", normal(z_2), z_2, layer=1)
            return pyro.sample("x", normal(z_1), obs=x)


class Told(zoo.Guide):
    """q(z_2 | x) = N(a x, 1), q(z_1 | x, z_2) = N(b x + c z_2, 1), vectors a, b and c."""

    def __init__(self, a=0.0, b=0.0, c=0.0, head=None):
        super().__init__()
        self.a, self.b, self.c = (torch.zeros(UNITS) + torch.as_tensor(v) for v in (a, b, c))
        self.head = head or normal

    def posterior(self, name, prior, h, features):
        if name == "z_2":
            return self.head(self.a * features)
        return self.head(self.b * features + self.c * h)


def normal(loc):
    return dist.Normal(loc, 1.0).to_event(1)


def exponential_of_normal(loc):
    """A posterior that knows no mean: e^u is as informed as u is."""
    return dist.TransformedDistribution(normal(loc), [dist.transforms.ExpTransform()])


@pytest.fixture
def x():
    torch.manual_seed(0)
    x = torch.randn(BATCH, UNITS)
    return (x - x.mean(0)) / x.std(0)  # variance 1 over these images, exactly


@pytest.mark.parametrize("informed", [0, 2, UNITS])
def test_units_that_are_told_of_x_are_active(informed, x):
    a = torch.tensor([0.5] * informed + [0.0] * (UNITS - informed))
    assert active_units(Chain(), Told(a=a, b=1.0 - a), x)["z_2"] == informed


def test_without_latents_above_the_activity_is_the_variance_over_images(x):
    a = torch.tensor([0.0, 0.05, 0.09, 0.11, 0.5, 2.0])
    found = activity(Chain(), Told(a=a), x, samples=2)
    torch.testing.assert_close(found["z_2"], a.double().square(), rtol=1e-5, atol=1e-12)
    assert active_units(Chain(), Told(a=a), x, samples=2)["z_2"] == 3  # 0.11^2 > 0.01 > 0.09^2


def test_a_unit_that_follows_noise_alone_is_not_active(x):
    """Its posterior mean differs between images, but only by the noise of the layer above."""
    guide = Told(a=0.0, b=torch.tensor([0.5, 0.5, 0.0, 0.0, 0.0, 0.0]), c=1.0)
    found = activity(Chain(), guide, x, samples=50)["z_1"]
    torch.testing.assert_close(found, guide.b.double().square(), rtol=0.1, atol=0.01)
    assert (found[:2] > 0.1).all()
    one_draw = zoo.encode(Chain(), guide, x)["z_2"].var(0)
    assert (one_draw > 0.5).all()  # which the means of a single draw have for their variance


def test_what_is_told_by_way_of_the_layer_above_counts(x):
    found = activity(Chain(), Told(a=2.0, c=0.5), x, samples=50)["z_1"]
    torch.testing.assert_close(found, torch.ones(UNITS, dtype=torch.float64), rtol=0.1, atol=0.0)


def test_posteriors_without_a_mean_are_sampled(x):
    a = torch.tensor([0.5] * 2 + [0.0] * 4)
    found = activity(Chain(), Told(a=a, b=a, head=exponential_of_normal), x, samples=100)["z_2"]
    assert found[:2].min() > 0.5
    assert found[2:].abs().max() < 0.1


def test_a_feature_map_has_a_unit_an_element(x):
    system = zoo.build("vae_digits", channels=2, latent=3, spatial=True)
    images = torch.rand(4, 1, 8, 8).round()
    found = activity(system.model, system.guide, images)
    assert set(found) == {"z"}
    z = zoo.encode(system.model, system.guide, images)["z"]
    assert z.dim() == 4
    assert found["z"].shape == (z[0].numel(),)


def test_modules_keep_their_mode_and_get_no_gradient(x):
    guide = Told(a=1.0, b=1.0)
    guide.net = nn.Dropout().train()
    assert active_units(Chain(), guide, x, samples=2) == {"z_2": UNITS, "z_1": UNITS}
    assert guide.net.training


@pytest.mark.parametrize(("images", "samples"), [(1, 10), (10, 1)])
def test_a_covariance_needs_two(images, samples, x):
    with pytest.raises(ValueError, match=f"at least two .* got {images} and {samples}"):
        active_units(Chain(), Told(), x[:images], samples=samples)
