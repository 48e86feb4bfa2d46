"""BIVA's factorisation, layer by layer, and its published size."""

import pytest
import torch
from torch import nn

from tests.catalogue import IMAGE, bivas, images, pair
from tests.contracts import dependencies, seeded
from zoo import ELBO
from zoo.joint import Joint
from zoo.models.biva import Stage, biva

LAYERS = [2, 3, 4]


def bottom_up(layers):
    return {f"z_{i}_bu" for i in layers}


def both(layers):
    return bottom_up(layers) | {f"z_{i}_td" for i in layers}


def published_table(top):
    """What every distribution depends on directly (arXiv:1902.02102, equations of section 3)."""
    table = {
        f"p(z_{top})": set(),
        f"q(z_{top})": {"x"} | bottom_up(range(1, top)),
        "p(x)": both(range(1, top)) | {f"z_{top}"},
    }
    for i in range(1, top):
        below, above = range(1, i), both(range(i + 1, top)) | {f"z_{top}"}
        table[f"p(z_{i}_bu)"] = table[f"p(z_{i}_td)"] = above
        table[f"q(z_{i}_bu)"] = {"x"} | bottom_up(below)
        table[f"q(z_{i}_td)"] = {"x"} | bottom_up(below) | above
    return table


@pytest.mark.parametrize("layers", LAYERS)
def test_every_distribution_depends_on_exactly_what_the_paper_says(layers):
    model, guide = pair(f"biva of {layers} layers")
    assert dependencies(model, guide, images()) == published_table(layers)


def test_feature_maps_have_the_same_dependencies():
    model, guide = pair("biva of feature maps")
    assert dependencies(model, guide, images()) == published_table(3)


@pytest.mark.parametrize("layers", LAYERS)
def test_there_are_two_latents_a_layer_and_one_at_the_top(layers):
    model, guide = pair(f"biva of {layers} layers")
    sites = Joint(model, guide, images()).sample()
    latents = [name for name, site in sites.items() if not site.observed]
    assert len(latents) == 2 * layers - 1
    assert {name for name, site in sites.items() if site.early} == bottom_up(range(1, layers))


@pytest.mark.parametrize("layers", LAYERS)
def test_top_prior_is_standard_normal(layers):
    model, guide = pair(f"biva of {layers} layers")
    prior = Joint(model, guide, images()).sample()[f"z_{layers}"].prior.base_dist
    assert (prior.loc == 0).all()
    assert (prior.scale == 1).all()


def mnist(filters=64, latents=(48, 40, 32, 24, 16, 8)):
    """The paper's model of binary MNIST."""
    return [
        Stage(latent, filters=filters, kernel=5 if i == 0 else 3, stride=2 if i in (0, 5) else 1)
        for i, latent in enumerate(latents)
    ]


def gains(module):
    """Numbers that weight normalisation would add: one an output channel of every layer."""
    weights = [
        (layer.weight.shape[1] if isinstance(layer, nn.ConvTranspose2d) else layer.weight.shape[0])
        for layer in module.modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))
    ]
    return sum(weights)


def test_mnist_model_has_the_published_number_of_parameters():
    with torch.device("meta"):
        both = nn.ModuleList(biva((1, 28, 28), mnist()))
    count = sum(p.numel() for p in both.parameters())
    assert count == 31_406_161
    assert count + gains(both) == 31_550_946


def test_generative_blocks_are_trained_by_the_top_down_posterior():
    model, guide = pair("biva of 3 layers")
    loss = ELBO(kl=lambda site: site.log_q() if site.name == "z_1_td" else 0 * site.log_q())(model, guide)
    terms = loss.terms(images())
    (parameter, *_) = model.layers[1].decode.parameters()
    (gradient,) = torch.autograd.grad(terms.kl["z_1_td"].sum(), parameter)
    assert (gradient != 0).any()


def test_the_merge_joins_the_deterministic_inference_path_and_the_generative_features():
    model, guide = pair("biva of 3 layers")
    seen = {}

    def keep(name):
        return lambda module, args, output: seen.update({name: (args, output)})

    for i, layer in enumerate(guide.layers[:2]):
        layer.merge.register_forward_hook(keep(f"merge {i}"))
        layer.top_down.blocks[-1].register_forward_hook(keep(f"d_td {i}"))
    for i, decoder in {0: model.layers[1].decode, 1: model.top}.items():
        decoder.blocks[-1].register_forward_hook(keep(f"d_p above {i}"))
    ELBO()(model, guide)(images())
    for i in (0, 1):
        inference, generative = seen[f"merge {i}"][0]
        assert torch.equal(inference, seen[f"d_td {i}"][1])
        assert torch.equal(generative, seen[f"d_p above {i}"][1])


def test_a_single_stage_is_refused():
    with pytest.raises(ValueError, match="at least two stages"):
        biva(IMAGE, [Stage(4)])


def test_dropout_acts_in_training_alone():
    model, guide = pair("biva with dropout")
    loss = ELBO()(model, guide)
    x = images()

    def losses():
        return seeded(loss, x, seed=1), seeded(loss, x, seed=1)

    loss.eval()
    evaluated = losses()
    loss.train()
    assert evaluated[0] == evaluated[1]
    assert seeded(loss, x, seed=1) != evaluated[0]


@pytest.mark.parametrize("blocks", [(1, 3), (3, 1)])
def test_stages_may_be_of_unequal_length(blocks):
    stages = [Stage(3, filters=4, blocks=b, stride=2) for b in blocks]
    model, guide = biva(IMAGE, stages)
    ELBO()(model, guide)(images(dtype=torch.float32)).backward()
    assert all(p.grad is not None for p in [*model.parameters(), *guide.parameters()])


def test_stages_may_mix_vectors_and_feature_maps_and_filters():
    stages = [
        Stage(3, filters=6, spatial=True),
        Stage(5, filters=4, stride=2, kernel=5),
        Stage(2, filters=8, stride=3, spatial=True),
    ]
    model, guide = biva(IMAGE, stages)
    ELBO()(model, guide)(images(dtype=torch.float32)).backward()
    assert model(n=2).shape == (2, *IMAGE)


def test_skip_connections_reach_the_layer_below():
    """Block j of layer i has block j of layer i + 1 as auxiliary input: without it the image differs."""
    model, _ = bivas(2)(IMAGE)
    z = torch.randn(2, 3)
    features = model.top(z, None)
    changed = [features[0] + 1, features[1]]
    layer = model.layers[0]
    z_1 = torch.randn(2, 8)
    assert not torch.equal(layer.decode(z_1, features)[-1], layer.decode(z_1, changed)[-1])
