"""Data-dependent initialisation: every weight-normalised layer standardised on one batch, once only."""

import copy
from functools import partial

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import zoo
from tests.catalogue import IMAGE, experiment, images, images_of, pair
from zoo import BernoulliLikelihood
from zoo.errors import UsageError
from zoo.experiments import find
from zoo.infer.initialisation import start_at_images
from zoo.infer.joint import Joint
from zoo.models.autoregressive import AutoregressiveDensity, NoLatents
from zoo.models.iwae import iwae
from zoo.nn import causal
from zoo.nn.causal import PixelCNNpp
from zoo.nn.weight_norm import WeightNorm, WeightNormLinear, weight_normalised
from zoo.runs.preparation import initialise_on

PAIRS = ["vae", "biva of 3 layers", "biva of feature maps", "biva with dropout"]


def normalised_pair(name, *, dtype=torch.float64):
    model, guide = pair(name, dtype=dtype)
    return weight_normalised(model), weight_normalised(guide)


def layers_of(model, guide):
    """The weight-normalised layers, by name."""
    both = nn.ModuleDict({"model": model, "guide": guide})
    return {name: m for name, m in both.named_modules() if isinstance(m, WeightNorm)}


def state_of(model, guide):
    return {name: value.clone() for name, value in nn.ModuleList([model, guide]).state_dict().items()}


def initialised(model, guide, x, *, seed=1, **options):
    torch.manual_seed(seed)
    return zoo.initialise(model, guide, x, **options)


def first_outputs(model, guide, x, *, seed=1):
    """What every layer returns when it is first called in a joint run."""
    layers, found = layers_of(model, guide), {}
    hooks = [
        layer.register_forward_hook(lambda m, args, y, name=name: found.setdefault(name, y))
        for name, layer in layers.items()
    ]
    torch.manual_seed(seed)
    with torch.no_grad():
        Joint(model, guide, x).sample()
    for hook in hooks:
        hook.remove()
    return {name: (layers[name], y) for name, y in found.items()}


def assert_standardised(outputs, *, scale=0.01, atol=1e-5):
    for layer, y in outputs.values():
        others = [d for d in range(y.dim()) if d != layer.of_output % y.dim()]
        zero = y.new_zeros(layer.gain.shape)
        torch.testing.assert_close(y.mean(others), zero, atol=atol, rtol=0)
        torch.testing.assert_close(y.std(others, correction=0), zero + scale, atol=atol, rtol=0)


@pytest.mark.parametrize("name", PAIRS)
def test_layers_have_mean_0_and_deviation_a_hundredth_on_the_batch(name):
    model, guide = normalised_pair(name)
    x = images(20)
    assert initialised(model, guide, x) == len(layers_of(model, guide))
    outputs = first_outputs(model, guide, x)
    assert outputs.keys() == layers_of(model, guide).keys()
    assert_standardised(outputs, atol=1e-9)


@pytest.mark.parametrize(("name", "scale"), [("biva_digits", 0.01), ("biva_digits", 0.5)])
def test_they_have_in_single_precision_too(name, scale):
    system = experiment(name)
    programs = [weight_normalised(p).eval() for p in (system.model, system.guide)]
    x = images_of(system, 30)
    assert initialised(*programs, x, scale=scale) == len(layers_of(*programs))
    assert_standardised(first_outputs(*programs, x), scale=scale)


def test_layers_see_what_the_layers_before_them_return_afterwards():
    """Not what these returned at first: the first layer alone would come out right otherwise."""
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    x = torch.randn(40, 4)
    expected = copy.deepcopy(weight_normalised(net))
    zoo.initialise(observing(net), empty, x)
    expected[0].standardise(x, scale=0.01)
    expected[2].standardise(expected[:2](x), scale=0.01)
    for a, b in zip(net.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def observing(net):
    """A user's own model of rows x given net(x)."""

    class Observing(zoo.Program):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            with zoo.batch_plate():
                pyro.sample("y", dist.Normal(self.net(x), 1.0).to_event(1), obs=torch.zeros(len(x), 3))

    return Observing()


def empty(x):
    """A guide that is a function and samples nothing."""


def test_a_second_call_runs_nothing_and_changes_no_bit():
    model, guide = normalised_pair("biva of 3 layers")
    initialised(model, guide, images(10))
    before = state_of(model, guide)

    def never(*_):
        raise AssertionError("it ran")

    model.register_forward_pre_hook(never)
    noise = torch.get_rng_state()
    assert zoo.initialise(model, guide, images(10)) == 0
    assert zoo.initialise(model, guide, images(1)) == 0
    assert torch.equal(torch.get_rng_state(), noise)
    assert all(torch.equal(value, before[name]) for name, value in state_of(model, guide).items())


def test_a_pair_without_weight_normalisation_stays_as_it_is():
    model, guide = pair("vae")
    before = state_of(model, guide)
    assert zoo.initialise(model, guide, images(10)) == 0
    assert all(torch.equal(value, before[name]) for name, value in state_of(model, guide).items())


def test_a_partial_state_initialises_the_rest_alone():
    model, guide = normalised_pair("biva of 3 layers")
    layers = layers_of(model, guide)
    kept = list(layers)[::2]
    for name in kept:
        layers[name].initialised.fill_(True)
    before = {name: copy.deepcopy(layers[name].state_dict()) for name in kept}
    assert initialised(model, guide, images(20)) == len(layers) - len(kept)
    for name in kept:
        for key, value in layers[name].state_dict().items():
            assert torch.equal(value, before[name][key])
    outputs = first_outputs(model, guide, images(20))
    assert_standardised({name: found for name, found in outputs.items() if name not in kept})


def test_a_saved_state_restores_the_initialisation():
    """The bug of the published ports: a model that was loaded initialised itself anew."""
    model, guide = normalised_pair("biva of 3 layers")
    x = images(10)
    initialised(model, guide, x)
    state = nn.ModuleList([model, guide]).state_dict()
    fresh = nn.ModuleList(normalised_pair("biva of 3 layers"))
    nn.init.normal_(fresh[0].top.blocks[0].first.weight)
    fresh.load_state_dict(state)

    def loss(model, guide):
        torch.manual_seed(2)
        return zoo.ELBO()(model, guide)(x)

    expected = loss(model, guide)
    assert torch.equal(loss(*fresh), expected)
    assert zoo.initialise(*fresh, 1 - x) == 0
    assert torch.equal(loss(*fresh), expected)


@pytest.mark.parametrize("training", [True, False])
def test_no_run_initialises(training):
    model, guide = normalised_pair("biva with dropout")
    loss = zoo.ELBO()(model, guide).train(training)
    before = state_of(model, guide)
    loss(images(10)).backward()
    zoo.log_likelihood(model, guide, images(3), k=3)
    zoo.sample(model, 3)
    assert all(torch.equal(value, before[name]) for name, value in state_of(model, guide).items())
    assert all(layer.needs_initialisation for layer in layers_of(model, guide).values())


def test_an_average_made_before_takes_the_initialisation_with_its_first_update():
    model, guide = normalised_pair("biva of 2 layers")
    loss = zoo.ELBO()(model, guide)
    average = AveragedModel(loss)
    initialised(model, guide, images(10))
    average.update_parameters(loss)
    copied = average.module
    before = state_of(copied.model, copied.guide)
    assert all(torch.equal(value, before[name]) for name, value in state_of(model, guide).items())
    copied(images(10))
    assert zoo.initialise(copied.model, copied.guide, 1 - images(10)) == 0
    assert all(torch.equal(v, before[name]) for name, v in state_of(copied.model, copied.guide).items())


def test_an_average_made_afterwards_is_initialised():
    model, guide = normalised_pair("biva of 2 layers")
    initialised(model, guide, images(10))
    copied = AveragedModel(zoo.ELBO()(model, guide)).module
    assert zoo.initialise(copied.model, copied.guide, images(10)) == 0


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_images_are_refused_and_nothing_is_set(n):
    model, guide = normalised_pair("vae")
    before = state_of(model, guide)
    with pytest.raises(ValueError, match=f"at least 3 images .* got {n}: initialise on a training batch"):
        zoo.initialise(model, guide, images(3)[:n])
    assert all(torch.equal(value, before[name]) for name, value in state_of(model, guide).items())


def test_three_images_are_enough():
    model, guide = normalised_pair("biva of 3 layers")
    initialised(model, guide, images(3))
    assert all(value.isfinite().all() for value in state_of(model, guide).values())
    assert zoo.ELBO()(model, guide)(images(3)).isfinite()


def test_one_seed_gives_one_initialisation():
    def state(seed):
        model, guide = normalised_pair("biva of 3 layers")
        torch.manual_seed(0)
        for p in [*model.parameters(), *guide.parameters()]:
            nn.init.normal_(p) if p.dim() > 1 else None
        initialised(model, guide, images(10), seed=seed)
        return torch.cat([value.flatten() for value in state_of(model, guide).values()])

    assert torch.equal(state(1), state(1))
    assert not torch.equal(state(1), state(2))


def test_dropout_is_off_meanwhile_and_modes_stay():
    model, guide = normalised_pair("biva with dropout")
    model.train()
    initialised(model, guide, images(20))
    assert all(m.training for m in model.modules())
    assert not any(m.training for m in guide.modules())
    assert_standardised(first_outputs(model.eval(), guide, images(20)))


def test_a_layer_that_is_called_twice_is_initialised_by_its_first_call():
    layer = WeightNormLinear(3, 3)
    x = torch.randn(30, 3)
    expected = copy.deepcopy(layer)
    expected.standardise(x, scale=0.01)
    assert zoo.initialise(observing(nn.Sequential(layer, nn.Tanh(), layer)), empty, x) == 1
    assert torch.equal(layer.gain, expected.gain)
    assert torch.equal(layer.bias, expected.bias)


def test_a_layer_of_both_programs_is_initialised_once():
    model, guide = normalised_pair("vae")
    guide.shared = model.likelihood.net.dense
    assert initialised(model, guide, images(10)) == len(layers_of(model, guide))


def test_layers_out_of_reach_are_told_of_and_wait():
    net = nn.Sequential(WeightNormLinear(3, 3))
    model = observing(net)
    model.unused = WeightNormLinear(3, 2)
    with pytest.warns(UserWarning, match="never reached them: model.unused$"):
        assert zoo.initialise(model, empty, torch.randn(10, 3)) == 1
    assert model.unused.needs_initialisation
    assert (model.unused.gain == 1).all()
    model.net = nn.Sequential(net, WeightNormLinear(3, 3), model.unused, nn.Linear(2, 3))
    assert zoo.initialise(model, empty, torch.randn(10, 3)) == 2


def test_what_is_not_finite_is_refused_by_the_name_of_the_layer():
    model, guide = normalised_pair("vae")
    x = images(10)
    x[3, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"layer guide.head.net.blocks.0.first: expected a finite output"):
        zoo.initialise(model, guide, x)
    assert initialised(model, guide, images(10)) == len(layers_of(model, guide))
    assert all(value.isfinite().all() for value in state_of(model, guide).values())


def test_hooks_are_gone_afterwards():
    model, guide = normalised_pair("vae")
    initialised(model, guide, images(10))
    assert not any(layer._forward_pre_hooks for layer in layers_of(model, guide).values())


def test_a_conditioned_model_and_ordinary_programs_are_taken():
    model, guide = normalised_pair("vae")
    conditioned = pyro.condition(model, data={})
    assert zoo.initialise(conditioned, guide, images(10)) == len(layers_of(model, guide))

    class Ordinary(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = weight_normalised(nn.Sequential(nn.Flatten(), nn.Linear(30, 4)))

        def forward(self, x):
            with zoo.batch_plate():
                pyro.sample("z", dist.Normal(self.net(x), 1.0).to_event(1))

    model, _ = normalised_pair("vae", dtype=torch.float32)
    guide, x = Ordinary(), images(10, IMAGE, dtype=torch.float32)
    assert initialised(model, guide, x) == len(layers_of(model, guide))
    assert_standardised(first_outputs(model, guide, x))


def test_a_density_by_pixelcnnpp_is_initialised_by_the_same_call():
    """As its network by `zoo.nn.causal.initialise`; the network runs only when the density is asked for."""
    model, guide = pair("pixelcnnpp with dropout")
    network = model.density.network
    expected = copy.deepcopy(network)
    causal.initialise(expected, images(10))
    assert zoo.initialise(model, guide, images(10)) == 1
    for a, b in zip(network.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert zoo.initialise(model, guide, 1 - images(10)) == 0
    fresh, _ = pair("pixelcnnpp with dropout")
    fresh.load_state_dict(model.state_dict())
    assert zoo.initialise(fresh, guide, 1 - images(10)) == 0
    assert torch.equal(fresh.density.network(images(2)), expected(images(2)))


def test_an_autoregressive_network_without_weight_normalisation_is_none_of_its_business():
    network = PixelCNNpp(IMAGE, 1, channels=3, resnets=1, weight_norm=False)
    assert (
        zoo.initialise(
            AutoregressiveDensity(zoo.AutoregressiveLikelihood(network, zoo.Bernoullis(1))),
            NoLatents(),
            images(5),
        )
        == 0
    )


def test_parts_that_ask_for_it_start_at_images_and_others_do_not():
    x = images(6, dtype=torch.float32)
    starting = {"likelihood": partial(BernoulliLikelihood, starts_at_images=True)}
    for options, count in (({}, 0), (starting, 1)):
        model, guide = iwae(IMAGE, latents=(3,), hidden=(4,), **options)
        assert start_at_images(model, guide, lambda: x) == count
        bias = next(m for m in model.likelihood.project.modules() if isinstance(m, nn.Linear)).bias
        expected = count * x.mean(0).clamp(1e-3, 1 - 1e-3).logit().flatten()
        torch.testing.assert_close(bias.detach(), expected)


def test_a_run_starts_its_parts_at_its_training_images(tmp_path):
    changes = {"likelihood.starts_at_images": True, "prior": "VampPrior", "num_pseudo_inputs": 3}
    run = zoo.Run.create(find("vae_digits").override({**changes, "prior.starts_at_images": True}), tmp_path)
    run.experiment = run.experiment.override({"channels": 2, "likelihood.starts_at_images": False})
    system = zoo.System(run.experiment, (1, 8, 8))
    initialise_on(system, run.data, seed=0, device=run.device)
    distance = (system.model.prior.raw[:, None] - run.data.thresholded().train.float()).abs().amax((2, 3, 4))
    assert (distance.min(1).values < 0.1).all()  # with noise of 0.01


def test_a_part_that_cannot_start_at_images_is_named(tmp_path):
    run = zoo.Run.create(find("vae_digits").override({"likelihood.starts_at_images": True}), tmp_path)
    with pytest.raises(UsageError, match="output is one linear layer"):
        initialise_on(zoo.System(run.experiment, (1, 8, 8)), run.data, seed=0, device=run.device)
