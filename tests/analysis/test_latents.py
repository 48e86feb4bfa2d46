"""Latents of images and images of latents: what is given is kept, the rest comes from the prior."""

import pyro
import pyro.distributions as dist
import pyro.poutine as poutine
import pytest
import torch

from tests.catalogue import (
    IMAGE,
    PAIRS,
    WITHOUT_LEVELS,
    WITHOUT_MEAN,
    experiment,
    images_for,
    images_of,
    layers,
    pair,
)
from tests.contracts import assert_equal_up_to_rounding, operations, seeded, standard_errors
from tests.linear_gaussian import NONE, BottomUp, TopDown, layer_of, ordinary, two_layers
from zoo import decode, encode, interpolate, log_likelihood, reconstruct, resample, sample
from zoo.analysis.latents import noise_of, slerp
from zoo.errors import UsageError
from zoo.infer.joint import Joint

LAYERED = [name for name in PAIRS if layers(name)]
NORMAL = [name for name in LAYERED if "flow" not in name and "pixel" not in name]
BIVAS = [name for name in LAYERED if name.startswith("biva")]
layered, normal = (pytest.mark.parametrize("name", names) for names in (LAYERED, NORMAL))


def in_range(name, pictures):
    if name in WITHOUT_LEVELS:
        return bool(pictures.isfinite().all())
    low = -1.01 if "logistic" in name else -0.01
    return bool(((pictures > low) & (pictures < 1.01)).all())


# encode


@layered
def test_encoded_are_the_draws_of_a_joint_run(name):
    model, guide = pair(name)
    x = images_for(name)
    latents = seeded(encode, model, guide, x)
    sites = seeded(Joint(model, guide, x).sample)
    assert set(latents) == {n for n in sites if layer_of(n)}
    assert all(torch.equal(z, sites[n].value) for n, z in latents.items())
    assert not any(z.requires_grad for z in latents.values())


@pytest.mark.parametrize("guide", [TopDown, BottomUp, ordinary])
def test_encoded_means_are_the_mode_of_the_exact_posterior(guide):
    """In a normal law the mean given the others at theirs is the mean of all."""
    model = two_layers()
    x = model.images()
    latents = encode(model, guide(model, NONE), x, mean=True)
    for name in model.latents:
        exact, _ = model.exact.moments([name], {"x": x.flatten(1)})
        torch.testing.assert_close(latents[name], exact)


def test_means_draw_nothing():
    model, guide = pair("biva of 3 layers")
    x = images_for("biva of 3 layers")
    first, second = (seeded(encode, model, guide, x, seed=s, mean=True) for s in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_mean_that_is_not_known():
    model, guide = pair("vae, flow posterior")
    with pytest.raises(UsageError, match="'z', TransformedDistribution, has no known mean"):
        encode(model, guide, images_for("vae"), mean=True)


# decode


@pytest.mark.parametrize("name", [name for name in LAYERED if name not in WITHOUT_MEAN])
def test_decoding_what_was_encoded_is_the_reconstruction(name):
    model, guide = pair(name)
    x = images_for(name)
    pictures = decode(model, seeded(encode, model, guide, x))
    torch.testing.assert_close(pictures, seeded(reconstruct, model, guide, x))


@pytest.mark.parametrize("name", WITHOUT_MEAN)
def test_a_likelihood_without_a_mean_is_drawn_from(name):
    model, guide = pair(name)
    x = images_for(name)
    pictures = decode(model, encode(model, guide, x))
    assert pictures.shape == x.shape
    assert set(pictures.unique().tolist()) <= {0.0, 1.0}


def test_what_is_not_given_is_drawn_from_the_prior_given_the_rest():
    model = two_layers()
    z_2 = torch.full((4000, 1), 1.5, dtype=torch.float64)
    pictures = seeded(decode, model, {"z_2": z_2}).flatten(1)
    z_1 = z_2[:1] @ model.maps["z_1"].T
    expected = torch.cat([z_2[:1], z_1], dim=1) @ model.maps["x"].T
    assert (standard_errors(pictures, expected[0]).abs() < 4.5).all()
    exact = decode(model, {"z_2": z_2[:2]}, mean=True).flatten(1)
    torch.testing.assert_close(exact, expected.expand(2, -1))


def test_the_top_alone_decides_the_digit_and_not_the_draws():
    model, guide = pair("biva of 3 layers")
    top = {"z_3": encode(model, guide, images_for("biva of 3 layers"))["z_3"]}
    first, second = (seeded(decode, model, top, seed=s) for s in (0, 1))
    assert not torch.equal(first, second)
    still = [seeded(decode, model, top, seed=s, mean=True) for s in (0, 1)]
    assert torch.equal(*still)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        ({}, "at least one latent"),
        ({"z_9": torch.zeros(2, 3)}, "no latent 'z_9'; it has z_2, z_1_td, z_1_bu"),
        ({"x": torch.zeros(2, *IMAGE)}, "no latent 'x'"),
        ({"z_2": torch.zeros(2, 5)}, r"'z_2' of shape \(2, 3\); got \(2, 5\)"),
        (
            {"z_2": torch.zeros(2, 3), "z_1_td": torch.zeros(3, 4)},
            r"'z_1_td' of shape \(2, 4\); got \(3, 4\)",
        ),
    ],
)
def test_latents_that_do_not_fit(latents, message):
    model, _ = pair("biva of 2 layers")
    with pytest.raises(UsageError, match=message):
        decode(model, {name: z.double() for name, z in latents.items()})


# resample


@layered
def test_resampling_below_nothing_is_reconstructing(name):
    model, guide = pair(name)
    x = images_for(name)
    ours, expected = seeded(resample, model, guide, x, below=0), seeded(reconstruct, model, guide, x)
    assert_equal_up_to_rounding(ours, expected, operations=operations(model, guide))


@layered
def test_resampling_below_the_top_sees_nothing_of_the_image(name):
    model, guide = pair(name)
    x = images_for(name, 4)
    other = x.flip(0)
    top = layers(name)
    ours, others = (seeded(resample, model, guide, images, below=top) for images in (x, other))
    torch.testing.assert_close(ours, others)
    if name not in WITHOUT_MEAN:  # whose pictures are draws, few of which an untrained latent changes
        ours, others = (seeded(resample, model, guide, images, below=top - 1) for images in (x, other))
        assert not torch.equal(ours, others)


def test_resampling_below_the_top_is_sampling():
    """Means over many pictures of one image, resampled, and of as many prior samples."""
    model, guide = pair("biva of 2 layers")
    x = images_for("biva of 2 layers", 1).expand(2000, *IMAGE)
    ours, own = seeded(resample, model, guide, x, below=2), seeded(sample, model, 2000, mean=True)
    error = ((ours.var(0) + own.var(0)) / 2000).sqrt()
    assert ((ours.mean(0) - own.mean(0)).abs() < 4.5 * error).all()


def test_resampling_at_the_mean_varies_less():
    model, guide = pair("biva of 3 layers")
    x = images_for("biva of 3 layers", 1).expand(200, *IMAGE)
    spread = [seeded(resample, model, guide, x, below=2, mean=m).std(0).mean() for m in (False, True)]
    assert spread[1] < 0.9 * spread[0]


@pytest.mark.parametrize("k", [-1, 4])
def test_layers_to_resample_that_there_are_not(k):
    model, guide = pair("biva of 3 layers")
    with pytest.raises(UsageError, match=f"got {k}"):
        resample(model, guide, images_for("biva of 3 layers"), below=k)


# interpolate


@layered
@pytest.mark.parametrize("mean", [True, False])
def test_a_way_has_its_ends_at_the_images(name, mean):
    if mean and "posterior" in name:
        pytest.skip("no mean to start from")
    model, guide = pair(name)
    a = images_for(name)
    b = a.flip(0)
    torch.manual_seed(0)
    ends = [encode(model, guide, x, mean=mean) for x in (a, b)]
    way = seeded(interpolate, model, guide, a, b, steps=3, mean=mean)
    assert way.shape == (3, *a.shape)
    assert in_range(name, way)
    if name not in WITHOUT_MEAN:  # whose pictures are draws
        torch.testing.assert_close(way[0], decode(model, ends[0]))
        torch.testing.assert_close(way[-1], decode(model, ends[1]))


@normal
def test_noise_is_what_makes_the_latents_from_those_above(name):
    """Standard normal a priori: mean 0 and variance 1 of the noise of prior samples."""
    model, _ = pair(name)
    with torch.no_grad(), poutine.trace() as trace:
        model(n=500)
    latents = {n: trace.trace.nodes[n]["value"] for n in trace.trace.stochastic_nodes if layer_of(n)}
    for noise in noise_of(model, latents).values():
        assert (standard_errors(noise, 0.0).abs() < 5).all()
        assert (standard_errors(noise.square(), 1.0).abs() < 5).all()


@pytest.mark.parametrize("name", BIVAS)
def test_the_way_from_an_image_to_itself_stands_still(name):
    model, guide = pair(name)
    x = images_for(name)
    way = interpolate(model, guide, x, x, steps=4)
    torch.testing.assert_close(way, way[:1].expand_as(way))


def test_the_way_of_the_upper_layers_has_the_others_at_their_mean():
    model, guide = pair("biva of 3 layers")
    a = images_for("biva of 3 layers")
    b = a.flip(0)
    way = interpolate(model, guide, a, b, steps=5, above=2)
    top = encode(model, guide, a, mean=True)["z_3"]
    torch.testing.assert_close(way[0], decode(model, {"z_3": top}, mean=True))
    assert torch.equal(way, interpolate(model, guide, a, b, steps=5, above=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1}, "steps >= 2"),
        ({"above": -1}, "above >= 0"),
        ({"above": 2}, "no latent in a layer above 2"),
        ({"b": torch.zeros(2, *IMAGE)}, "of one shape"),
    ],
)
def test_ways_that_there_are_not(options, message):
    model, guide = pair("biva of 2 layers")
    x = images_for("biva of 2 layers")
    with pytest.raises(UsageError, match=message):
        interpolate(model, guide, x, options.pop("b", x), **options)


def test_what_has_no_latents_has_no_way():
    model, guide = pair("pixelcnn")
    x = images_for("pixelcnn")
    with pytest.raises(UsageError, match="a model with latents"):
        interpolate(model, guide, x, x)


# great circles


def test_a_great_circle_keeps_the_angle_and_goes_through_the_lengths_between():
    a, b = torch.randn(2, 50, 6, dtype=torch.float64)
    angle = torch.arccos(torch.cosine_similarity(a, b))
    for t in torch.linspace(0, 1, 5, dtype=torch.float64):
        way = slerp(a, b, t.expand(50))
        torch.testing.assert_close(torch.arccos(torch.cosine_similarity(a, way).clamp(-1, 1)), t * angle)
        torch.testing.assert_close(way.norm(dim=1), (1 - t) * a.norm(dim=1) + t * b.norm(dim=1))


def test_a_great_circle_ends_where_it_should_whatever_the_ends():
    zero, one = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    for a, b in [(one, one), (one, -one), (one, 3 * one), (zero, one), (zero, zero), (one, -0.5 * one)]:
        for t, end in ((0.0, a), (1.0, b)):
            way = slerp(a[None], b[None], torch.full((1,), t, dtype=torch.float64))
            torch.testing.assert_close(way[0], end)
        assert slerp(a[None], b[None], torch.full((1,), 0.3, dtype=torch.float64)).isfinite().all()


def test_the_middle_is_as_long_as_the_prior_draws():
    a, b = torch.randn(2, 200, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    half = torch.full((200,), 0.5, dtype=torch.float64)
    typical = dist.Chi2(64.0).sample((10_000,)).sqrt().mean().item()
    assert abs(slerp(a, b, half).norm(dim=1).mean() - typical) < 0.15
    assert torch.lerp(a, b, 0.5).norm(dim=1).mean() < 0.8 * typical


# a system's methods


@pytest.mark.parametrize("name", ["biva_digits", "vae_digits"])
def test_a_system_has_them_as_methods(name):
    system = experiment(name)
    x = images_of(system)
    with pyro.validation_enabled(True):
        assert seeded(system.sample, 2, temperature=0.5).shape == x.shape
        assert torch.equal(seeded(system.reconstruct, x), seeded(reconstruct, system.model, system.guide, x))
        latents = system.encode(x, mean=True)
        assert torch.equal(system.decode(latents), decode(system.model, latents))
        pictures = seeded(system.resample, x, below=1)
        assert torch.equal(pictures, seeded(resample, system.model, system.guide, x, below=1))
        assert system.interpolate(x, x.flip(0), steps=3).shape == (3, *x.shape)


def test_the_mode_is_left_as_it_was():
    model, guide = pair("biva with dropout")
    x = images_for("biva with dropout")
    model.train()
    guide.train()
    assert torch.equal(seeded(resample, model, guide, x, below=1), seeded(resample, model, guide, x, below=1))
    interpolate(model, guide, x, x)
    assert model.training
    assert guide.training
    assert log_likelihood(model, guide, x, 2).mean < 0
