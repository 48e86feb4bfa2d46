import itertools
import math

import pytest
import torch

from distributions import DiscretizedLogistic, DiscretizedLogisticMixture, Grid
from distributions import discretized_logistic_mixture as module
from tests.distributions.goodness import z_score


def parameters(*, components, channels, batch=(), image=(1, 1), log_scale=-1.0, dtype=torch.float64):
    """Of an irregular mixture, with means on and beyond the edges."""
    generator = torch.Generator().manual_seed(channels)

    def normal(*shape):
        return torch.randn(*batch, components, *shape, *image, generator=generator, dtype=dtype)

    pairs = channels * (channels - 1) // 2
    return (
        normal(),
        normal(channels),
        log_scale + 0.5 * normal(channels),
        normal(pairs).tanh() if pairs else None,
    )


def mixture(*, levels=256, **options):
    return DiscretizedLogisticMixture(*parameters(**options), levels=levels)


def all_images(levels, channels):
    """Every image of one pixel, (levels^channels, channels, 1, 1)."""
    values = Grid(levels).value(torch.arange(levels, dtype=torch.float64))
    return torch.cartesian_prod(*[values] * channels).reshape(-1, channels, 1, 1)


@pytest.mark.parametrize("levels", [2, 3, 4, 8])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("log_scale", [-7.0, -2.0, 0.0, 4.0])
def test_joint_masses_of_a_pixel_sum_to_one(levels, channels, log_scale):
    p = mixture(components=3, channels=channels, log_scale=log_scale, levels=levels)
    total = p.log_prob(all_images(levels, channels)).exp().sum()
    assert abs(total - 1) <= 1e-12


def test_joint_masses_of_an_image_sum_to_one():
    p = mixture(components=3, channels=2, image=(1, 2), levels=3)
    values = Grid(3).value(torch.arange(3, dtype=torch.float64))
    images = torch.cartesian_prod(*[values] * 4).reshape(-1, 2, 1, 2)
    assert abs(p.log_prob(images).exp().sum() - 1) <= 1e-12


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 0.0])
def test_masses_of_the_last_channel_sum_to_those_of_the_others(dtype, tolerance, log_scale):
    """At 256 levels: summing B out of RGB leaves the mixture over RG."""
    rgb = parameters(components=10, channels=3, log_scale=log_scale, dtype=dtype)
    logits, loc, scale, rho = rgb
    p = DiscretizedLogisticMixture(*rgb)
    q = DiscretizedLogisticMixture(logits, loc[:, :2], scale[:, :2], rho[:, :1])
    rg = q.sample((20,))  # likely values: others' masses are 0 on both sides
    blue = p.grid.value(torch.arange(256, dtype=dtype)).reshape(256, 1, 1, 1, 1)
    images = torch.cat([rg.expand(256, 20, 2, 1, 1), blue.expand(256, 20, 1, 1, 1)], -3)
    total = p.log_prob(images).logsumexp(0)
    torch.testing.assert_close(total, q.log_prob(rg), rtol=0, atol=tolerance)


def by_loops(logits, loc, log_scale, rho, x, levels):
    """The formula, one number at a time."""
    total = torch.zeros((), dtype=loc.dtype)
    for i, j in itertools.product(range(x.shape[-2]), range(x.shape[-1])):
        weights = logits[:, i, j].softmax(0)
        mass = torch.zeros((), dtype=loc.dtype)
        for k, weight in enumerate(weights):
            red, green, blue = x[:, i, j]
            to_green, red_to_blue, green_to_blue = rho[k, :, i, j]
            means = loc[k, :, i, j] + torch.stack(
                [0 * red, to_green * red, red_to_blue * red + green_to_blue * green]
            )
            one = DiscretizedLogistic(means, log_scale[k, :, i, j], levels=levels)
            mass = mass + weight * one.log_prob(torch.stack([red, green, blue])).sum().exp()
        total = total + mass.log()
    return total


def test_log_prob_is_the_formula():
    rgb = parameters(components=4, channels=3, image=(2, 3))
    p = DiscretizedLogisticMixture(*rgb, levels=16)
    x = p.sample()
    torch.testing.assert_close(p.log_prob(x), by_loops(*rgb, x, 16), rtol=1e-12, atol=0)


def test_one_component_and_channel_is_a_discretized_logistic():
    logits, loc, log_scale, _ = parameters(components=1, channels=1, batch=(5,), image=(2, 3))
    p = DiscretizedLogisticMixture(logits, loc, log_scale)
    q = DiscretizedLogistic(loc[:, 0], log_scale[:, 0]).to_event(3)
    x = p.sample()
    torch.testing.assert_close(p.log_prob(x), q.log_prob(x))


def test_no_coefficients_are_zero_coefficients():
    logits, loc, log_scale, rho = parameters(components=4, channels=3, batch=(5,), image=(2, 3))
    p = DiscretizedLogisticMixture(logits, loc, log_scale)
    q = DiscretizedLogisticMixture(logits, loc, log_scale, torch.zeros_like(rho))
    x = p.sample()
    torch.testing.assert_close(p.log_prob(x), q.log_prob(x))
    torch.testing.assert_close(p.component_mean(), q.component_mean())


def joint_counts(x, levels):
    """Counts of each joint value of the channels of a pixel, in the order of `all_images`."""
    level = Grid(levels).level(x)[..., 0, 0].long()
    channels = level.shape[-1]
    place = levels ** torch.arange(channels - 1, -1, -1)
    return (level * place).sum(-1).bincount(minlength=levels**channels)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("log_scale", [-6.0, -4.0, -2.0, -1.0, 0.0])
def test_samples_follow_log_prob(channels, log_scale):
    p = mixture(components=3, channels=channels, log_scale=log_scale, levels=4)
    counts = joint_counts(p.sample((400_000,)), 4)
    masses = p.log_prob(all_images(4, channels)).exp()
    assert abs(z_score(counts, masses)) < 5


@pytest.mark.parametrize("log_scale", [-6.0, -2.0])
def test_samples_follow_log_prob_at_eight_bits(log_scale):
    """Red and green of RGB: 65,536 cells."""
    rgb = parameters(components=3, channels=3, log_scale=log_scale)
    logits, loc, scale, rho = rgb
    counts = joint_counts(DiscretizedLogisticMixture(*rgb).sample((200_000,))[:, :2], 256)
    rg = DiscretizedLogisticMixture(logits, loc[:, :2], scale[:, :2], rho[:, :1])
    assert abs(z_score(counts, rg.log_prob(all_images(256, 2)).exp())) < 5


def test_conditioning_on_unrounded_channels_would_show(monkeypatch):
    """Control: the published samplers draw green given red before it is rounded."""

    def unrounded(u, loc, log_scale, *, grid):
        x = loc + log_scale.exp() * u.logit()
        return (x.clamp(-1, 1) + 1) / 2 * grid.last

    p = mixture(components=3, channels=3, log_scale=-2.0, levels=4)
    masses = p.log_prob(all_images(4, 3)).exp()
    monkeypatch.setattr(module, "level_at", unrounded)
    assert z_score(joint_counts(p.sample((400_000,)), 4), masses) > 50


def test_samples_of_a_batch_follow_their_own_parameters():
    p = mixture(components=3, channels=2, batch=(2,), image=(1, 2), levels=3)
    x = p.sample((50_000,))
    for b, w in itertools.product(range(2), range(2)):
        pixel = DiscretizedLogisticMixture(
            *(t[b, ..., w : w + 1] for t in (p.logits, p.loc, p.log_scale, p.coefficients)),
            levels=3,
        )
        masses = pixel.log_prob(all_images(3, 2)).exp()
        assert abs(z_score(joint_counts(x[:, b, :, :, w : w + 1], 3), masses)) < 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("log_scale", [-30.0, -7.0, 10.0, 1e4])
def test_values_and_gradients_are_finite_at_extremes(dtype, log_scale):
    rgb = parameters(components=4, channels=3, batch=(8,), image=(2, 3), dtype=dtype)
    logits, loc, _, rho = (t.requires_grad_() for t in rgb)
    scale = torch.full_like(loc, log_scale, requires_grad=True)
    p = DiscretizedLogisticMixture(logits, loc, scale, rho)
    x = p.grid.value(torch.randint(0, 256, (8, 3, 2, 3)).to(dtype))
    x[0] = 1
    x[1] = -1
    log_prob = p.log_prob(x)
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    for t in (logits, loc, scale, rho):
        assert torch.isfinite(t.grad).all()


def test_temperature_shrinks_samples():
    p = mixture(components=4, channels=3, image=(2, 3), log_scale=-2.0)
    variances = [p.with_temperature(t).sample((4000,)).var(0).mean() for t in (0.2, 0.5, 1.0)]
    assert variances[0] < variances[1] < variances[2]


def test_temperature_is_on_scales_and_logits():
    p = mixture(components=4, channels=3)
    q = p.with_temperature(0.5)
    torch.testing.assert_close(q.logits, 2 * p.logits)
    torch.testing.assert_close(q.log_scale, p.log_scale - math.log(2))
    assert q.grid.levels == p.grid.levels
    with pytest.raises(ValueError, match="temperature above 0; got 0"):
        p.with_temperature(0.0)


def test_mean_of_uncoupled_channels_is_exact():
    logits, loc, log_scale, _ = parameters(components=3, channels=2)
    p = DiscretizedLogisticMixture(logits, loc, log_scale, levels=5)
    images = all_images(5, 2)
    expected = (p.log_prob(images).exp()[:, None, None, None] * images).sum(0)
    torch.testing.assert_close(p.mean, expected)


def test_mean_of_coupled_channels_is_not_pretended():
    p = mixture(components=3, channels=3, batch=(2,))
    with pytest.raises(NotImplementedError, match="component_mean"):
        _ = p.mean
    assert p.component_mean().shape == (2, 3, 1, 1)
    assert p.component_mean().abs().max() <= 1


def test_component_mean_is_the_mean_of_a_sharp_component():
    logits, loc, log_scale, rho = parameters(components=1, channels=3, log_scale=-12.0)
    p = DiscretizedLogisticMixture(logits, loc, log_scale, rho)
    torch.testing.assert_close(p.component_mean(), p.sample(), rtol=0, atol=3 / 255)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("loc", (3, 2, 2), r"expected loc of shape \(\*B, K, C, H, W\); got \(3, 2, 2\)"),
        (
            "logits",
            (5, 4, 3, 2),
            r"expected logits of shape .* = \(5, 4, 2, 3\).*got \(5, 4, 3, 2\)",
        ),
        ("log_scale", (5, 1, 3, 2, 3), r"log_scale .* \(5, 4, 3, 2, 3\).*got \(5, 1, 3, 2, 3\)"),
        (
            "coefficients",
            (5, 4, 2, 2, 3),
            r"coefficients .*\(5, 4, 3, 2, 3\).*got \(5, 4, 2, 2, 3\)",
        ),
        ("coefficients", (4, 3, 2, 3), r"coefficients .*\(5, 4, 3, 2, 3\).*got \(4, 3, 2, 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(name, shape, message):
    values = parameters(components=4, channels=3, batch=(5,), image=(2, 3))
    named = dict(zip(("logits", "loc", "log_scale", "coefficients"), values, strict=True))
    named[name] = torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        DiscretizedLogisticMixture(**named)


@pytest.mark.parametrize("name", ["logits", "loc", "log_scale", "coefficients"])
def test_parameters_that_are_not_numbers_are_refused(name):
    values = parameters(components=4, channels=3)
    named = dict(zip(("logits", "loc", "log_scale", "coefficients"), values, strict=True))
    named[name] = named[name] * float("nan")
    with pytest.raises(ValueError, match=name):
        DiscretizedLogisticMixture(**named, validate_args=True)


def test_one_channel_may_have_no_coefficients_as_an_empty_tensor():
    """What a network's output split in four gives for grey images."""
    logits, loc, log_scale, _ = parameters(components=4, channels=1, batch=(5,), image=(2, 3))
    p = DiscretizedLogisticMixture(logits, loc, log_scale, torch.zeros(5, 4, 0, 2, 3).double())
    q = DiscretizedLogisticMixture(logits, loc, log_scale)
    x = p.sample((7,))
    torch.testing.assert_close(p.log_prob(x), q.log_prob(x))
    torch.testing.assert_close(p.mean, q.mean)
    assert p.expand((2, 5)).batch_shape == (2, 5)
