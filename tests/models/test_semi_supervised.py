"""M2, M1+M2, ADGM, SDGM and BIVA with a label: their factorisations, and the laws of any pair."""

import pyro
import pytest
import torch
from pyro import poutine
from torch import nn

from tests.contracts import dependencies, seeded
from zoo import ELBO, SemiSupervised, classify, log_likelihood, log_weights, reconstruct, sample
from zoo.infer.compilation import compile_loss
from zoo.infer.joint import Joint
from zoo.models.auxiliary import adgm, sdgm
from zoo.models.m2 import load_m1, m1_m2, m2
from zoo.models.semi_supervised_biva import semi_supervised_biva
from zoo.nn.activations import ELU
from zoo.nn.stages import Stage

IMAGE = (1, 6, 5)
SHAPES = [(3, 4, 4), (2, 5, 6), (1, 1, 3)]
CLASSES = 3


def stages(layers):
    return [Stage(3 if i else 4, filters=4, stride=1 + (i + 1) % 2, blocks=1) for i in range(layers)]


def bivas(layers, **options):
    return lambda shape: semi_supervised_biva(shape, stages(layers), classes=CLASSES, **options)


PAIRS = {
    "m2": lambda shape: m2(shape, latent=4, hidden=(8, 6), classes=CLASSES),
    "m1+m2": lambda shape: m1_m2(shape, latent=4, second=3, hidden=(8, 6), classes=CLASSES),
    "adgm": lambda shape: adgm(shape, latent=4, auxiliary=3, hidden=(8, 6), classes=CLASSES),
    "sdgm": lambda shape: sdgm(shape, latent=4, auxiliary=3, hidden=(8, 6), classes=CLASSES),
    "biva of 2 layers": bivas(2),
    "biva of 3 layers": bivas(3),
    "biva with dropout": bivas(2, dropout_q=0.3, dropout_p=0.2),
}
pairs = pytest.mark.parametrize("name", PAIRS)


def pair(name, shape=IMAGE, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, guide = PAIRS[name](shape)
    return model.to(dtype).eval(), guide.to(dtype).eval()


def images(n=3, shape=IMAGE, dtype=torch.float64):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(n)).round().to(dtype)


def labels(n=3, dtype=torch.float64):
    return torch.eye(CLASSES, dtype=dtype)[torch.arange(n) % CLASSES]


def test_the_networks_above_an_m1_have_sizes_of_their_own():
    plain, plain_guide = m1_m2(IMAGE, latent=4, second=3, hidden=(8, 6), classes=CLASSES)
    model, guide = m1_m2(
        IMAGE,
        latent=4,
        second=3,
        hidden=(8, 6),
        second_hidden=(5,),
        second_activation="relu",
        classes=CLASSES,
    )
    load_m1(model, guide, plain.likelihood, plain_guide.first)
    for net, outputs in ((model.latent, 8), (guide.label, CLASSES), (guide.second, 6)):
        assert [m.out_features for m in net.modules() if isinstance(m, nn.Linear)] == [5, outputs]
        assert [type(m) for m in net.modules() if isinstance(m, (nn.ReLU, ELU))] == [nn.ReLU]


TABLES = {
    "m2": {
        "p(z)": set(),
        "p(x)": {"y", "z"},
        "q(y)": {"x"},
        "q(z)": {"x", "y"},
    },
    "m1+m2": {
        "p(z_2)": set(),
        "p(z_1)": {"y", "z_2"},
        "p(x)": {"z_1"},
        "q(z_1)": {"x"},
        "q(y)": {"z_1"},
        "q(z_2)": {"y", "z_1"},
    },
    "adgm": {
        "p(z)": set(),
        "p(x)": {"y", "z"},
        "p(a)": {"x", "y", "z"},
        "q(a)": {"x"},
        "q(y)": {"a", "x"},
        "q(z)": {"a", "x", "y"},
    },
    "sdgm": {
        "p(z)": set(),
        "p(a)": {"y", "z"},
        "p(x)": {"a", "y", "z"},
        "q(a)": {"x"},
        "q(y)": {"a", "x"},
        "q(z)": {"a", "x", "y"},
    },
    "biva of 2 layers": {
        "p(z_2)": set(),
        "p(z_1_bu)": {"z_2"},
        "p(z_1_td)": {"z_2"},
        "p(x)": {"y", "z_1_bu", "z_1_td", "z_2"},
        "q(z_1_bu)": {"x"},
        "q(y)": {"x", "z_1_bu"},
        "q(z_2)": {"x", "y", "z_1_bu"},
        "q(z_1_td)": {"x", "y", "z_2"},
    },
    "biva of 3 layers": {
        "p(z_3)": set(),
        "p(z_2_bu)": {"z_3"},
        "p(z_2_td)": {"z_3"},
        "p(z_1_bu)": {"z_2_bu", "z_2_td", "z_3"},
        "p(z_1_td)": {"z_2_bu", "z_2_td", "z_3"},
        "p(x)": {"y", "z_1_bu", "z_1_td", "z_2_bu", "z_2_td", "z_3"},
        "q(z_1_bu)": {"x"},
        "q(z_2_bu)": {"x", "z_1_bu"},
        "q(y)": {"x", "z_1_bu", "z_2_bu"},
        "q(z_3)": {"x", "y", "z_1_bu", "z_2_bu"},
        "q(z_2_td)": {"x", "y", "z_1_bu", "z_3"},
        "q(z_1_td)": {"x", "y", "z_2_bu", "z_2_td", "z_3"},
    },
}


@pytest.mark.parametrize("name", TABLES)
def test_every_distribution_depends_on_exactly_what_the_paper_says(name):
    """And so the classifier never sees the label, nor what is drawn given it."""
    assert dependencies(*pair(name), images()) == {**TABLES[name], "p(y)": set()}


EARLY = {
    "m2": set(),
    "m1+m2": {"z_1"},
    "adgm": {"a"},
    "sdgm": {"a"},
    "biva of 2 layers": {"z_1_bu"},
    "biva of 3 layers": {"z_1_bu", "z_2_bu"},
}


@pytest.mark.parametrize("name", EARLY)
def test_what_the_classifier_reads_is_drawn_before_the_model_runs(name):
    sites = Joint(*pair(name), images()).sample()
    assert {n for n, site in sites.items() if site.early} == EARLY[name]


@pairs
def test_the_label_is_uniform_at_first(name):
    prior = Joint(*pair(name), images()).sample()["y"].prior
    torch.testing.assert_close(prior.probs, torch.full((3, CLASSES), 1 / CLASSES, dtype=torch.float64))


def latents(program, *args):
    trace = poutine.trace(program).get_trace(*args)
    return {name: trace.nodes[name]["value"].shape for name in trace.stochastic_nodes}


def assert_works(model, guide, x, y):
    assert latents(model, x) == latents(guide, x)
    loss = SemiSupervised(labelled=(x, y))(model, guide).train()
    loss(x).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())
    assert sample(model, 2).shape == (2, *x.shape[1:])
    assert reconstruct(model, guide, x).shape == x.shape
    assert classify(model, guide, x).shape == y.shape


@pairs
def test_model_and_guide_share_sites_and_train(name):
    assert_works(*pair(name), images(), labels())


@pairs
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pairs_take_any_image_shape(name, shape):
    model, guide = pair(name, shape, torch.float32)
    assert_works(model, guide, images(2, shape, torch.float32), labels(2, torch.float32))


@pairs
def test_a_sampled_label_has_no_gradient_and_the_plain_bound_says_so(name):
    with pytest.raises(ValueError, match="the posterior of 'y', OneHotCategorical, is not reparameterised"):
        ELBO()(*pair(name))(images())


@pairs
def test_samples_of_a_class_come_by_conditioning(name):
    model, _ = pair(name)
    y = labels()
    trace = poutine.trace(pyro.condition(model, data={"y": y})).get_trace(n=3)
    assert torch.equal(trace.nodes["y"]["value"], y)
    assert trace.nodes["x"]["value"].shape == (3, *IMAGE)


@pairs
def test_chunks_do_not_change_the_weights(name):
    model, guide = pair(name)
    whole = log_weights(model, guide, images(), 6, seed=0)
    torch.testing.assert_close(log_weights(model, guide, images(), 6, chunk=2, seed=0), whole)


@pairs
def test_a_known_label_has_a_likelihood_of_its_own(name):
    """log p(x, y) of every class by importance sampling: together they are log p(x)."""
    model, guide = pair(name)
    x = images(2)
    given = [pyro.condition(model, data={"y": y.expand(2, CLASSES)}) for y in labels()]
    results = [log_likelihood(m, guide, x, 400, seed=i) for i, m in enumerate(given)]
    total = torch.stack([r.log_likelihood for r in results]).logsumexp(0)
    both = log_likelihood(model, guide, x, 400, seed=9)
    stderrs = torch.stack([both.sampling_stderr, *(r.sampling_stderr for r in results)])
    assert ((total - both.log_likelihood) / stderrs.square().sum(0).sqrt()).abs().max() < 4


@pairs
def test_model_and_guide_share_no_parameter(name):
    model, guide = pair(name)
    assert not {id(p) for p in model.parameters()} & {id(p) for p in guide.parameters()}


@pairs
def test_pairs_build_on_the_meta_device(name):
    with torch.device("meta"):
        both = nn.ModuleList(PAIRS[name](IMAGE))
    assert all(p.is_meta for p in both.parameters())


@pytest.mark.parametrize("build", [m2, m1_m2, adgm, sdgm])
def test_one_class_is_no_label(build):
    sizes = {m2: {"latent": 2}, m1_m2: {"latent": 2, "second": 2}}.get(build, {"latent": 2, "auxiliary": 2})
    with pytest.raises(ValueError, match="at least two classes; got 1"):
        build(IMAGE, hidden=(4,), classes=1, **sizes)


def test_biva_without_labels_is_biva():
    """With maps of zero nothing depends on y: all of it is BIVA's but the block before the likelihood."""
    model, guide = pair("biva of 2 layers")
    with torch.no_grad():
        for p in [*guide.maps.parameters(), *model.hierarchy.likelihood.net.map.parameters()]:
            p.zero_()
    found = dependencies(model, guide, images())
    assert not any("y" in seen for seen in found.values())


@pytest.mark.slow
def test_the_loss_compiles_whole():
    model, guide = pair("sdgm", dtype=torch.float32)
    x, y = images(dtype=torch.float32), labels(dtype=torch.float32)
    loss = SemiSupervised(labelled=(x, y))(model, guide).train()
    compiled = compile_loss(loss, x, backend="eager")
    torch.testing.assert_close(seeded(compiled, x), seeded(loss, x))
