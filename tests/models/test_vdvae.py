"""VDVAE: published sizes, the beginning at N(0, I), what sees what."""

import copy
import io

import pytest
import torch

from distributions.base_normal import base_normal
from tests.catalogue import IMAGE, images, pair, randomised, vdvaes
from tests.contracts import assert_equal_up_to_rounding, dependencies, operations, seeded
from zoo import ELBO, above, decode, encode, log_likelihood
from zoo.analysis.sampling import picture
from zoo.experiments import find
from zoo.infer.joint import Joint
from zoo.models.vdvae import vdvae

PUBLISHED = {
    "vdvae_cifar10_paper": (39_145_700, 43),
    "vdvae_imagenet32_paper": (119_280_868, 78),
    "vdvae_imagenet64_paper": (125_005_860, 75),
    "vdvae_ffhq256_paper": (114_874_852, 66),
}
X = images()


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configurations_have_their_published_sizes(name):
    parameters, blocks = PUBLISHED[name]
    with torch.device("meta"):
        model, guide = find(name).system(find(name).image_shape)
    assert sum(p.numel() for program in (model, guide) for p in program.parameters()) == parameters
    assert len(model.layers) == blocks


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8), (1, 7, 5)])
@pytest.mark.parametrize("factors", [(), (2,), (2, 4)])
def test_any_image_and_any_resolutions(shape, factors):
    counts = (1, 2, 1)[: len(factors) + 1]
    model, guide = vdvaes(blocks=counts, encoder_blocks=counts, factors=factors)(shape)
    x = images(2, shape, dtype=torch.float32)
    loss = ELBO()(model, guide)(x)
    loss.backward()
    assert loss.isfinite()
    assert model(n=3).shape == (3, *shape)


@pytest.mark.parametrize(
    "sizes",
    [
        {"blocks": (1, 1), "encoder_blocks": (1,), "factors": (2,)},
        {"blocks": (1, 0), "encoder_blocks": (1, 1), "factors": (2,)},
    ],
)
def test_sizes_that_do_not_go_together(sizes):
    with pytest.raises(ValueError, match="at every resolution"):
        vdvae((1, 8, 8), **sizes)


def test_at_first_every_prior_is_standard_normal_and_adds_nothing():
    model, _ = pair("vdvae")
    h = model.start(2)
    for layer in reversed(model.layers):
        grown, prior, shown = layer.prior(h)
        torch.testing.assert_close(grown, shown)
        assert (base_normal(prior).loc == 0).all()
        assert (base_normal(prior).scale == 1).all()
        h = layer.update(grown, torch.randn_like(base_normal(prior).loc))


def test_every_distribution_depends_on_exactly_what_it_should():
    model, guide = pair("vdvae")
    found = dependencies(randomised(model, std=0.1), guide, X)
    above_of = {1: {"z_2", "z_3"}, 2: {"z_3"}, 3: set()}
    assert found == {
        "p(x)": {"z_1", "z_2", "z_3"},
        **{f"p(z_{i})": seen for i, seen in above_of.items()},
        **{f"q(z_{i})": seen | {"x"} for i, seen in above_of.items()},
    }


def test_the_residual_of_the_prior_is_seen_by_what_is_below_and_not_by_the_posterior():
    model, _ = pair("vdvae")
    layer = randomised(model, std=0.1).layers[0]
    h = torch.randn(2, *layer.event_shape[1:], 8).movedim(-1, 1).double()
    grown, prior, shown = layer.prior(h)
    loc, _, r = layer.parameters_of(h).split(layer.sizes, dim=1)
    assert torch.equal(shown, h)
    torch.testing.assert_close(grown, h + r)
    torch.testing.assert_close(base_normal(prior).loc, loc)


def test_growing_repeats_every_pixel():
    model, _ = pair("vdvae")
    layer = model.layers[1]
    assert layer.grows == 2
    h = torch.arange(9.0).double().view(1, 1, 3, 3).expand(1, 8, 3, 3)
    _, _, shown = layer.prior(h)
    expected = h.repeat_interleave(2, 2).repeat_interleave(2, 3) + layer.constant(1)
    torch.testing.assert_close(shown, expected)


def test_all_latents_of_an_image_decode_to_its_reconstruction():
    model, guide = pair("vdvae")
    sites = seeded(Joint(model, guide, X).sample)
    found = decode(model, seeded(encode, model, guide, X))
    torch.testing.assert_close(found, picture(sites["x"].prior))


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_layers_can_be_left_to_the_prior(k):
    model, guide = pair("vdvae")
    sites = Joint(model, above(guide, k), X).sample()
    zero = {name for name, s in sites.items() if not s.observed and s.kl().abs().max() == 0}
    assert zero == {f"z_{i}" for i in range(1, k + 1)}


def test_a_bound_of_many_samples_encodes_once_and_is_above_the_elbo():
    model, guide = pair("vdvae")
    found = log_likelihood(model, guide, X, k=50, seed=0)
    assert (found.log_likelihood > found.elbo).all()


def test_a_copy_is_independent_of_its_source():
    both = torch.nn.ModuleList(vdvaes()(IMAGE))
    file = io.BytesIO()
    torch.save(both, file)
    file.seek(0)
    x = X.float()
    expected = seeded(ELBO()(*both), x)
    others = [copy.deepcopy(both), torch.load(file, weights_only=False)]
    randomised(both, std=0.1)
    assert all(seeded(ELBO()(*other), x) == expected for other in others)
    assert seeded(ELBO()(*both), x) != expected


def test_checkpoints_change_neither_loss_nor_gradients():
    found = []
    for checkpoint in (False, True):
        torch.manual_seed(0)
        both = torch.nn.ModuleList(vdvaes(checkpoint_activations=checkpoint)(IMAGE)).train()
        loss = seeded(ELBO()(*both), X.float())
        found.append([loss, *torch.autograd.grad(loss, list(both.parameters()))])
    scale = max(value.abs().max().item() for value in found[0])
    assert_equal_up_to_rounding(found[1], found[0], operations=operations(both), scale=scale)
