"""VAE, LVAE, LVAE+ and BIVA: what sees what, what is shared, and the published sizes."""

import pytest
import torch

from flows import AffineCoupling
from tests.catalogue import IMAGE, hierarchy, images, pair
from tests.contracts import dependencies
from zoo import ELBO, LearnedNormal, build, transformed
from zoo.infer.joint import Joint
from zoo.infer.objectives import monte_carlo
from zoo.models.biva import Stage, biva
from zoo.models.hierarchical_vae import hierarchical_vae
from zoo.models.ladder_vae import ladder_vae, lvae
from zoo.nn.gated_resnet import GatedResNet, Shortcut
from zoo.nn.scales import wide_softplus_scale

BUILDERS = {"biva": biva, "lvae": lvae, "ladder_vae": ladder_vae, "hierarchical_vae": hierarchical_vae}
builders = pytest.mark.parametrize("builder", BUILDERS.values(), ids=BUILDERS)
ladders = pytest.mark.parametrize("builder", [lvae, ladder_vae])
depths = pytest.mark.parametrize("layers", [2, 3, 4])


def built(builder, layers, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, guide = hierarchy(builder, layers, blocks=2, **options)(IMAGE)
    return model.double().eval(), guide.double().eval()


def z(layers):
    return {f"z_{i}" for i in layers}


def generative_table(top, skips):
    """What p(x) and every p(z_i) see: all layers above, or the next one."""
    table = {"p(x)": z(range(1, top + 1)) if skips else z([1]), f"p(z_{top})": set()}
    for i in range(1, top):
        table[f"p(z_{i})"] = z(range(i + 1, top + 1)) if skips else z([i + 1])
    return table


def top_down_table(top, skips):
    """What q sees in a ladder: the image, and what its prior sees."""
    priors = generative_table(top, skips)
    return priors | {f"q(z_{i})": {"x"} | priors[f"p(z_{i})"] for i in range(1, top + 1)}


def bottom_up_table(top, skips):
    """What q sees in a VAE: the image and all below, or the next one below."""
    table = generative_table(top, skips) | {"q(z_1)": {"x"}}
    for i in range(2, top + 1):
        table[f"q(z_{i})"] = {"x"} | z(range(1, i)) if skips else z([i - 1])
    return table


@depths
@ladders
@pytest.mark.parametrize("skips", [True, False])
def test_in_a_ladder_every_distribution_depends_on_exactly_what_it_should(builder, layers, skips):
    found = dependencies(*built(builder, layers, skips=skips), images())
    assert found == top_down_table(layers, skips)


@depths
@pytest.mark.parametrize("skips", [True, False])
def test_in_a_vae_every_distribution_depends_on_exactly_what_it_should(layers, skips):
    found = dependencies(*built(hierarchical_vae, layers, skips=skips), images())
    assert found == bottom_up_table(layers, skips)


@depths
def test_biva_without_skips_generates_by_a_markov_chain(layers):
    found = dependencies(*built(biva, layers, skips=False), images())
    for i in range(1, layers):
        above = {f"z_{i + 1}_bu", f"z_{i + 1}_td"} if i + 1 < layers else {f"z_{layers}"}
        assert found[f"p(z_{i}_bu)"] == found[f"p(z_{i}_td)"] == above
    assert found["p(x)"] == {"z_1_bu", "z_1_td"}


@pytest.mark.parametrize("name", ["lvae+ of feature maps", "ladder vae of feature maps"])
def test_feature_maps_have_the_same_dependencies(name):
    found = dependencies(*pair(name), images())
    top = max(int(site[4]) for site in found if site.startswith("p(z_"))
    assert found == top_down_table(top, skips=name.startswith("lvae+"))


@builders
@depths
def test_there_is_a_latent_a_layer_or_two_in_biva(builder, layers):
    model, guide = built(builder, layers)
    sites = Joint(model, guide, images()).sample()
    latents = [name for name, site in sites.items() if not site.observed]
    assert len(latents) == (2 * layers - 1 if builder is biva else layers)


@builders
def test_top_prior_is_standard_normal(builder):
    prior = Joint(*built(builder, 3), images()).sample()["z_3"].prior.base_dist
    assert (prior.loc == 0).all()
    assert (prior.scale == 1).all()


def test_only_a_vae_draws_before_the_model_runs():
    early = {
        name: {s.name for s in Joint(*built(b, 3), images()).sample().values() if s.early}
        for name, b in BUILDERS.items()
    }
    assert early == {
        "biva": {"z_1_bu", "z_2_bu"},
        "lvae": set(),
        "ladder_vae": set(),
        "hierarchical_vae": {"z_1", "z_2"},
    }


@ladders
def test_all_of_a_ladders_inference_network_runs_once_an_image(builder):
    model, guide = built(builder, 3)
    calls = []
    for stage in guide.path.stages:
        stage.register_forward_hook(lambda *_: calls.append(1))
    Joint(model, guide, images()).sample(7)
    assert len(calls) == 3


def test_the_precision_weighted_posterior_is_the_product_of_estimate_and_prior():
    model, guide = built(ladder_vae, 3)
    x = images()
    sites = Joint(model, guide, x).sample()
    d = guide.path(x)
    for i in (1, 2):
        q, p = sites[f"z_{i}"].posterior.base_dist, sites[f"z_{i}"].prior.base_dist
        estimate = guide.merges[i - 1].head(d[i - 1]).base_dist
        precision = 1 / estimate.scale**2 + 1 / p.scale**2
        torch.testing.assert_close(q.scale**-2, precision)
        torch.testing.assert_close(q.loc, (estimate.loc / estimate.scale**2 + p.loc / p.scale**2) / precision)


@builders
def test_model_and_guide_own_their_parameters(builder):
    model, guide = built(builder, 3)
    assert not {id(p) for p in model.parameters()} & {id(p) for p in guide.parameters()}


@pytest.mark.parametrize("builder", [biva, lvae])
def test_top_down_inference_shares_the_generative_blocks_above_and_no_others(builder):
    model, guide = built(builder, 3)
    name = "z_1_td" if builder is biva else "z_1"
    log_q = Joint(model, guide, images()).sample()[name].log_q().sum()

    def reached(module):
        grads = torch.autograd.grad(log_q, list(module.parameters()), allow_unused=True, retain_graph=True)
        return any(g is not None and (g != 0).any() for g in grads)

    assert reached(model.top)
    assert reached(model.layers[1].decode)
    assert not reached(model.layers[0].decode)
    assert not reached(model.likelihood)
    assert not any(reached(prior) for prior in model.layers[0].priors)


@builders
def test_published_scales_are_never_below_one(builder):
    model, guide = built(builder, 3, scale=wide_softplus_scale)
    for site in Joint(model, guide, images()).sample().values():
        if not site.observed:
            estimate = site.posterior.base_dist.scale
            least = 2**-0.5 if builder is ladder_vae and site.name != "z_3" else 1.0  # a product of two
            assert (estimate >= least).all()
            assert (site.prior.base_dist.scale >= 1).all()


class LinearBlock(torch.nn.Module):
    """A block of another kind: pixels are averaged or repeated, channels mixed, auxiliary features added."""

    def __init__(self, in_shape, out_shape, *, kernel=3, aux_shape=None, **options):
        super().__init__()
        self.size = out_shape[1:]
        self.mix = torch.nn.Conv2d(in_shape[0], out_shape[0], 1)
        self.aux = torch.nn.Conv2d(aux_shape[0], out_shape[0], 1) if aux_shape else None

    def forward(self, x, aux=None):
        y = torch.nn.functional.interpolate(self.mix(x), self.size)
        if self.aux is not None:
            y = y + torch.nn.functional.interpolate(self.aux(aux), self.size)
        return y


@builders
def test_any_residual_block_will_do(builder):
    model, guide = built(builder, 3, block=LinearBlock)
    blocks = [m for program in (model, guide) for m in program.modules()]
    assert not any(isinstance(m, GatedResNet) for m in blocks)
    ELBO()(model, guide)(images()).backward()
    assert all(p.grad is not None for p in [*model.parameters(), *guide.parameters()])


@builders
def test_vectors_and_maps_and_unequal_stages_mix(builder):
    stages = [
        Stage(3, filters=6, spatial=True, blocks=1, head_kernel=3),
        Stage(5, filters=4, stride=2, kernel=5, blocks=3),
        Stage(2, filters=8, stride=3, spatial=True, blocks=2),
    ]
    model, guide = builder((3, 9, 7), stages)
    ELBO()(model, guide)(images(2, (3, 9, 7), dtype=torch.float32)).backward()
    assert all(p.grad is not None for p in [*model.parameters(), *guide.parameters()])
    assert model(n=2).shape == (2, 3, 9, 7)


@pytest.mark.parametrize(
    "name", ["biva of 3 layers", "biva of feature maps", "hierarchical vae", "ladder vae"]
)
def test_free_bits_charge_each_variable_of_each_image_whatever_its_shape(name):
    free = 3.0
    model, guide = pair(name)
    loss = ELBO(free_bits=free, kl=monte_carlo)(model, guide).train()
    torch.manual_seed(1)
    terms = loss.terms(images())
    torch.manual_seed(1)
    charged = sum(kl.clamp(min=free) for kl in terms.kl.values())
    torch.testing.assert_close(loss(images()), (charged - terms.log_likelihood["x"]).mean())
    torch.manual_seed(1)
    torch.testing.assert_close(loss.eval()(images()), -terms.elbo().mean())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("biva_mnist_paper", 31_550_946),
        ("biva_cifar10_paper", 102_948_560),
        ("lvae_plus_cifar10_paper", 73_461_088),
        ("lvae_cifar10_paper", 73_461_088 - 984_960),
    ],
)
def test_published_models_have_the_published_number_of_parameters(name, parameters):
    with torch.device("meta"):
        assert build(name).parameter_count() == parameters


def growing(*programs):
    """The residual blocks that have more channels than their input."""
    blocks = [m for program in programs for m in program.modules() if isinstance(m, GatedResNet)]
    return [block for block in blocks if block.first.in_channels < block.out_shape[0]]


KINDS = {"none": type(None), "project": torch.nn.Sequential, "pad": Shortcut}


@builders
@pytest.mark.parametrize("shortcut", KINDS)
def test_the_shortcut_of_every_block_whose_channels_grow_is_an_option(builder, shortcut):
    blocks = growing(*built(builder, 3, shortcut=shortcut))
    assert {type(block.shortcut) for block in blocks} == {KINDS[shortcut]}


def test_published_models_have_the_published_shortcut():
    with torch.device("meta"):
        system = build("biva_mnist_paper")
    assert {type(block.shortcut) for block in growing(system.guide)} == {Shortcut}


def numbers(modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_the_parts_of_the_cifar_model_have_the_published_numbers_of_parameters():
    with torch.device("meta"):
        system = build("biva_cifar10_paper")
    model, guide = system.model, system.guide
    inner = guide.layers[:-1]
    heads_bu = [*(layer.posterior_bu for layer in inner), *(layer.priors[0] for layer in model.layers)]
    heads_td = [*(layer.posterior_td for layer in inner), *(layer.priors[1] for layer in model.layers)]
    assert numbers(layer.bottom_up for layer in guide.layers) == 12_250_656
    assert numbers(layer.top_down for layer in guide.layers) == 13_856_544
    assert numbers(heads_bu) == numbers(heads_td) == 29_985_520
    assert numbers(layer.merge for layer in inner) == 3_623_424
    assert numbers([guide.top]) == 332_352 + 30_760
    assert numbers([model.top, *(layer.decode for layer in model.layers)]) == 12_873_984
    assert numbers([model.likelihood]) == 9_800


@builders
def test_the_prior_of_the_top_is_anyones(builder):
    prior = transformed(LearnedNormal(3), [AffineCoupling(3, hidden=(4,))])
    model, guide = built(builder, 3, prior=prior)
    loss = ELBO()(model, guide)
    loss(images()).backward()
    assert all(p.grad is not None for p in prior.parameters())
    assert any((p.grad != 0).any() for p in prior.parameters())
