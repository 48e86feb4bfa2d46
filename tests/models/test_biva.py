"""BIVA's factorisation, layer by layer, and its published size."""

import math

import pytest
import torch

from tests.catalogue import IMAGE, bivas, images, pair
from tests.contracts import dependencies, seeded
from tests.linear_gaussian import BottomUpAndTopDown, TwoWay
from zoo import ELBO, log_weights
from zoo.infer.joint import Joint
from zoo.infer.objectives import monte_carlo
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


def test_with_a_decoupled_likelihood_the_factorisation_of_q_is_exact():
    model = TwoWay(coupled=False)
    x = model.images()
    weights = log_weights(model, BottomUpAndTopDown(model), x, 20)
    torch.testing.assert_close(weights, model.log_evidence(x).expand(20, -1), rtol=0, atol=1e-9)


def test_with_a_coupled_likelihood_bounds_rise_to_the_evidence():
    """No q of this factorisation is exact: ELBO < L_3 < L_10 < log p(x)."""
    model = TwoWay(coupled=True)
    x, evidence = model.images(), model.log_evidence(model.images())
    loss = ELBO(num_particles=60_000, kl=monte_carlo)(model, BottomUpAndTopDown(model))
    weights = seeded(loss.terms, x).elbo()
    bounds = [
        (weights.view(k, -1, len(x)).logsumexp(0) - math.log(k)).mean(1) for k in (1, 3, 10)
    ]  # each of 60,000 / k independent estimates
    means = [bound.mean() for bound in bounds]
    errors = [bound.std() / len(bound) ** 0.5 for bound in bounds]
    assert means[0] + 4 * errors[0] < means[1]
    assert means[1] + 4 * errors[1] < means[2]
    assert means[2] + 4 * errors[2] < evidence.mean()
    overall = weights.logsumexp(0) - math.log(len(weights))
    torch.testing.assert_close(overall, evidence, rtol=0, atol=0.05)
