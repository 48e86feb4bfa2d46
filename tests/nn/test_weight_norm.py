"""Weight-normalised layers: PyTorch's outputs and gradients, the published start, copies and saved states."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel

from tests.catalogue import images, pair
from tests.contracts import assert_all_close, loss_and_gradients
from zoo import ELBO, build
from zoo.nn.causal import PixelCNNpp, initialise
from zoo.nn.weight_norm import (
    WeightNorm,
    WeightNormConv2d,
    WeightNormConvTranspose2d,
    WeightNormLinear,
    gain_of,
    normalised,
    weight_normalised,
)

LAYERS = {
    "conv": (lambda: nn.Conv2d(3, 5, 3, padding=1), (3, 6, 5)),
    "conv same": (lambda: nn.Conv2d(3, 5, (5, 3), padding="same"), (3, 6, 5)),
    "conv strided": (lambda: nn.Conv2d(3, 5, 3, stride=(2, 1), padding=1), (3, 7, 5)),
    "conv reflecting": (lambda: nn.Conv2d(3, 5, 3, padding=2, padding_mode="reflect"), (3, 6, 5)),
    "conv of groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2), (4, 6, 7)),
    "conv without bias": (lambda: nn.Conv2d(3, 5, 1, bias=False), (3, 4, 4)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 5, 3), (3, 4, 4)),
    "transposed strided": (lambda: nn.ConvTranspose2d(3, 5, 5, stride=2, padding=2), (3, 4, 5)),
    "transposed, output padding": (
        lambda: nn.ConvTranspose2d(3, 5, 3, stride=(2, 3), padding=1, output_padding=(1, 2)),
        (3, 4, 5),
    ),
    "dense": (lambda: nn.Linear(6, 4), (6,)),
    "dense, more dimensions": (lambda: nn.Linear(6, 4), (2, 6)),
    "dense without bias": (lambda: nn.Linear(6, 4, bias=False), (6,)),
}


def beside_pytorch(name):
    """The layer of PyTorch with its own parametrisation and ours, of the same v, g and b."""
    make, shape = LAYERS[name]
    plain = make().double()
    ours = weight_normalised(copy.deepcopy(plain))
    nn.init.uniform_(ours.gain, 0.5, 2.0)
    dim = 1 if isinstance(plain, nn.ConvTranspose2d) else 0
    theirs = parametrizations.weight_norm(plain, dim=dim)
    parts = theirs.parametrizations.weight
    with torch.no_grad():
        parts.original0.copy_(ours.gain.view_as(parts.original0))
        parts.original1.copy_(ours.weight)
        if ours.bias is not None:
            theirs.bias.copy_(nn.init.normal_(ours.bias))
    return ours, theirs, torch.randn(4, *shape, dtype=torch.float64, requires_grad=True)


def parameters_of(layer):
    """v, g and b."""
    if hasattr(layer, "parametrizations"):
        parts = layer.parametrizations.weight
        named = (parts.original1, parts.original0, layer.bias)
    else:
        named = (layer.weight, layer.gain, layer.bias)
    return [p for p in named if p is not None]


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_those_of_pytorch(name):
    ours, theirs, x = beside_pytorch(name)
    y, expected = ours(x), theirs(x)
    torch.testing.assert_close(y, expected)
    weights = torch.randn_like(y)
    gradients = torch.autograd.grad((weights * y).sum(), [x, *parameters_of(ours)])
    known = torch.autograd.grad((weights * expected).sum(), [x, *parameters_of(theirs)])
    for a, b in zip(gradients, known, strict=True):
        torch.testing.assert_close(a, b.view_as(a))


def test_an_output_size_may_be_asked_for():
    ours, theirs, x = beside_pytorch("transposed strided")
    torch.testing.assert_close(ours(x, [8, 10]), theirs(x, [8, 10]))
    assert ours(x, [8, 10]).shape == (4, 5, 8, 10)


@pytest.mark.parametrize(("shape", "dim"), [((4, 3, 2, 2), 0), ((3, 4, 2, 2), 1), ((4, 5), 0)])
def test_first_and_second_derivatives_are_right(shape, dim):
    v = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    g = torch.rand(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, g: normalised(v, g, dim), (v, g))
    assert torch.autograd.gradgradcheck(lambda v, g: normalised(v, g, dim), (v, g))


@pytest.mark.parametrize(("shape", "dim"), [((4, 3, 2, 2), 0), ((3, 4, 2, 2), 1), ((4, 5), 0)])
def test_a_gain_is_the_norm_of_its_channel(shape, dim):
    v = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(normalised(v, gain_of(v, dim).detach(), dim), v)
    norms = normalised(v, torch.full((4,), 3.0).double(), dim).transpose(0, dim).flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full_like(norms, 3.0))


@pytest.mark.parametrize("std", [0.05, 0.2])
def test_it_starts_as_published(std):
    layer = weight_normalised(nn.Linear(400, 500), std=std)
    assert (layer.gain == 1).all()
    assert (layer.bias == 0).all()
    assert layer.needs_initialisation
    assert abs(layer.weight.mean()) < 4 * std / 200_000**0.5
    assert abs(layer.weight.std() / std - 1) < 4 / 400_000**0.5


@pytest.mark.parametrize(
    ("kind", "like", "arguments"),
    [
        (WeightNormConv2d, nn.Conv2d, (3, 4, 3)),
        (WeightNormConvTranspose2d, nn.ConvTranspose2d, (3, 4, 3)),
        (WeightNormLinear, nn.Linear, (3, 4)),
    ],
)
def test_a_layer_may_be_made_by_itself(kind, like, arguments):
    def seeded(make):
        torch.manual_seed(0)
        return make()

    one = seeded(lambda: kind(*arguments, std=0.1, dtype=torch.float64))
    other = seeded(lambda: weight_normalised(like(*arguments, dtype=torch.float64), std=0.1))
    assert type(one) is type(other)
    assert one.extra_repr() == like(*arguments).extra_repr()
    assert_all_close([*one.state_dict().values()], [*other.state_dict().values()], atol=0, rtol=0)


def test_every_layer_of_a_module_is_replaced_in_place():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)))
    layers = [net[0], net[2][0]]
    assert weight_normalised(net) is net
    assert [net[0], net[2][0]] == layers
    assert [m for m in net.modules() if isinstance(m, WeightNorm)] == layers
    assert sorted(net.state_dict())[:4] == ["0.bias", "0.gain", "0.initialised", "0.weight"]


def test_shared_layers_stay_shared():
    layer = nn.Linear(3, 3)
    net = weight_normalised(nn.Sequential(layer, nn.Sequential(layer)))
    assert net[0] is net[1][0] is layer
    assert len(list(net.parameters())) == 3


def test_a_second_time_changes_nothing():
    net = weight_normalised(nn.Sequential(nn.Linear(3, 4)))
    before = copy.deepcopy(net.state_dict())
    assert_all_close([*weight_normalised(net).state_dict().values()], [*before.values()], atol=0, rtol=0)


def test_other_classes_of_layers_are_left_alone():
    class Masked(nn.Linear):
        pass

    net = weight_normalised(nn.Sequential(Masked(2, 2), nn.Conv1d(1, 1, 1)))
    assert not any(isinstance(m, WeightNorm) for m in net.modules())


def test_transposed_convolutions_of_groups_are_refused():
    with pytest.raises(ValueError, match="one group; got 2"):
        weight_normalised(nn.ConvTranspose2d(4, 4, 3, groups=2))
    with pytest.raises(ValueError, match="one group; got 2"):
        WeightNormConvTranspose2d(4, 4, 3, groups=2)


def test_every_layer_gains_its_output_channels():
    def count(programs):
        return sum(p.numel() for program in programs for p in program.parameters())

    with torch.device("meta"):
        system = build("biva_digits")
    programs = (system.model, system.guide)
    before = count(programs)
    sizes = {nn.Conv2d: "out_channels", nn.ConvTranspose2d: "out_channels", nn.Linear: "out_features"}
    layers = [m for program in programs for m in program.modules() if type(m) in sizes]
    gained = sum(getattr(m, sizes[type(m)]) for m in layers)
    for program in programs:
        weight_normalised(program)
    assert count(programs) == before + gained
    assert all(p.is_meta for program in programs for p in program.parameters())
    assert all(layer.initialised.is_meta for layer in layers)


@pytest.mark.parametrize(
    "through", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"]
)
def test_copies_are_equal_and_independent(through):
    net = weight_normalised(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 2)))
    twin, x = through(net), torch.randn(2, 2, 4, 4)
    y = net(x)
    assert torch.equal(twin(x), y)
    with torch.no_grad():
        net[0].gain.mul_(2)
        net[0].initialised.fill_(True)
    assert torch.equal(twin(x), y)
    assert twin[0].needs_initialisation


def test_a_state_is_loaded_with_its_marks():
    first, second = (weight_normalised(nn.Sequential(nn.Linear(3, 4))) for _ in range(2))
    first[0].standardise(torch.randn(5, 3), scale=1.0)
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 3)
    assert torch.equal(first(x), second(x))
    assert not second[0].needs_initialisation


def test_types_and_averages():
    net = weight_normalised(nn.Linear(3, 4)).double()
    assert net(torch.randn(2, 3, dtype=torch.float64)).dtype == torch.float64
    assert net.initialised.dtype == torch.bool
    average = AveragedModel(net)
    net.standardise(torch.randn(5, 3, dtype=torch.float64), scale=1.0)
    average.update_parameters(net)
    assert torch.equal(average.module.gain, net.gain)
    assert not average.module.needs_initialisation


def initialised_average(net, x):
    average = AveragedModel(net)
    initialise(net, x)
    average.update_parameters(net)
    return average.module


def reloaded(net, x):
    fresh = copy.deepcopy(net)
    initialise(net, x)
    fresh.load_state_dict(net.state_dict())
    return fresh


@pytest.mark.parametrize("copied", [initialised_average, reloaded])
def test_copies_of_an_initialised_causal_network_are_initialised(copied):
    """And no call sets gains or biases, in training mode neither."""
    x = torch.rand(4, 1, 6, 6).double()
    twin = copied(PixelCNNpp((1, 6, 6), 1, channels=3, resnets=1).double(), x)
    before = copy.deepcopy(twin.state_dict())
    twin.train()(1 - x)
    assert not twin.needs_initialisation
    assert_all_close([*twin.state_dict().values()], [*before.values()], atol=0, rtol=0)


@pytest.mark.parametrize("name", ["transposed, output padding", "conv same", "dense"])
def test_a_standardised_layer_has_mean_0_and_the_deviation_asked_for(name):
    ours, _, x = beside_pytorch(name)
    ours.standardise(x, scale=0.3)
    y = ours(x)
    others = [0, 2, 3] if y.dim() == 4 else [0]
    zero = torch.zeros(y.shape[1], dtype=torch.float64)
    torch.testing.assert_close(y.mean(others), zero, atol=1e-12, rtol=0)
    torch.testing.assert_close(y.std(others, correction=0), zero + 0.3)


def test_the_last_dimension_of_a_dense_layer_is_that_of_its_channels():
    ours, _, x = beside_pytorch("dense, more dimensions")
    ours.standardise(x, scale=0.3)
    torch.testing.assert_close(ours(x).std((0, 1), correction=0), torch.full((4,), 0.3).double())


@pytest.mark.parametrize("constant", [0.0, 1.0, 1e4])
def test_channels_that_do_not_vary_are_centred_alone(constant):
    layer = weight_normalised(nn.Linear(3, 4))
    x = torch.full((50, 3), constant)
    layer.standardise(x, scale=0.01)
    assert (layer.gain == 1).all()
    assert (layer(x).abs() < 1e-6 * max(constant, 1)).all()


def test_without_a_bias_outputs_are_scaled_alone():
    ours, _, x = beside_pytorch("dense without bias")
    mean, deviation = ours(x).mean(0), ours(x).std(0, correction=0)
    ours.standardise(x, scale=0.3)
    torch.testing.assert_close(ours(x).std(0, correction=0), torch.full((4,), 0.3).double())
    torch.testing.assert_close(ours(x).mean(0), mean * 0.3 / deviation)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_and_nothing_is_set(wrong):
    layer = weight_normalised(nn.Linear(3, 4))
    x = torch.randn(5, 3)
    x[1, 2] = wrong
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(ValueError, match="finite output"):
        layer.standardise(x, scale=1.0)
    assert_all_close([*layer.state_dict().values()], [*before.values()], atol=0, rtol=0)


@pytest.mark.parametrize("name", ["conv strided", "transposed, output padding", "dense"])
def test_layers_compile_whole(name):
    ours, _, x = beside_pytorch(name)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    assert_all_close(
        torch.autograd.grad(compiled(x).square().sum(), [x, *ours.parameters()]),
        torch.autograd.grad(ours(x).square().sum(), [x, *ours.parameters()]),
    )


def test_a_weight_normalised_hierarchy_is_trained_everywhere():
    loss = ELBO()(*(weight_normalised(p) for p in pair("biva of 2 layers")))
    loss.train()
    _, gradients = loss_and_gradients(loss, images(), parameters=loss.parameters())
    assert all(g.isfinite().all() and (g != 0).any() for g in gradients)
