"""PixelCNN++: its size, its blind spot, its data-dependent initialisation, its samples of levels of grey."""

import pytest
import torch

from distributions import Autoregressive
from distributions.ancestral import ancestral, fixed_point
from zoo.nn.causal import PixelCNN, PixelCNNpp, initialise
from zoo.parts.families import Bernoullis, LogisticMixtures


def network_for(family, shape, *, seed=0, dtype=torch.float64, **options):
    """In evaluation mode, initialised by a random batch."""
    torch.manual_seed(seed)
    network = PixelCNNpp(shape, family.size, **{"channels": 4, "resnets": 1} | options).to(dtype).eval()
    context = None if network.context_shape is None else torch.randn(16, *network.context_shape, dtype=dtype)
    initialise(network, 2 * torch.rand(16, *shape, dtype=dtype) - 1, context)
    return network


@pytest.mark.parametrize(
    ("shape", "features", "channels", "resnets", "expected"),
    [
        ((3, 32, 32), 100, 160, 5, 53_659_080),
        ((3, 32, 32), 100, 32, 1, 578_760),
        ((1, 28, 28), 30, 32, 1, 575_676),  # the port has 3 features a component of grey images
    ],
)
def test_parameters_are_as_many_as_in_the_port(shape, features, channels, resnets, expected):
    with torch.device("meta"):
        network = PixelCNNpp(shape, features, channels=channels, resnets=resnets)
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize(("resnets", "unseen"), [(1, 180), (2, 12), (3, 0)])
def test_the_blind_spot_closes_with_three_blocks(resnets, unseen):
    """Pairs of pixels of 12 x 12 of which the earlier is out of the later one's sight."""
    network = PixelCNNpp((1, 12, 12), 1, channels=1, resnets=resnets).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    x = torch.rand(1, 12, 12, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: network(x[None]).flatten(), x, vectorize=True)
    seen = jacobian.view(144, 144)
    past = torch.ones(144, 144).tril(-1).bool()
    assert (seen[~past] == 0).all()
    assert (seen[past] == 0).sum() == unseen


def outputs_of(network, x, context=None):
    """What every weight-normalised layer returns, of its own accord, on a pass everywhere."""
    found = []
    hooks = []
    for module in network.modules():
        if getattr(module, "gain", None) is not None:
            original = module.everywhere

            def everywhere(h, original=original, module=module):
                y = original(h)
                found.append((module, y))
                return y

            module.everywhere = everywhere
            hooks.append(module)
    network(x, context)
    for module in hooks:
        del module.everywhere
    return found


@pytest.mark.parametrize("context", [None, 3])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 5, 7)])
def test_initialised_layers_are_standardised(shape, context):
    torch.manual_seed(0)
    network = PixelCNNpp(shape, 6, channels=5, resnets=2, context=context).double().eval()
    x = torch.rand(12, *shape, dtype=torch.float64)
    c = None if context is None else torch.randn(12, context, dtype=torch.float64)
    initialise(network, x, c)
    outputs = outputs_of(network, x, c)
    assert len(outputs) == sum(1 for m in network.modules() if getattr(m, "gain", None) is not None)
    for layer, y in outputs:
        y = layer.inside(y)
        zero = torch.zeros(y.shape[1], dtype=torch.float64)
        torch.testing.assert_close(y.mean((0, 2, 3)), zero, atol=1e-10, rtol=0)
        torch.testing.assert_close(y.std((0, 2, 3), correction=0), zero + layer.scale, atol=1e-9, rtol=0)
    scales = [layer.scale for layer, _ in outputs]
    assert scales.count(0.1) == sum(1 for name, _ in network.named_modules() if name.endswith("second"))


def test_initialising_twice_changes_nothing():
    network = network_for(Bernoullis(1), (1, 6, 6))
    x = torch.rand(10, 1, 6, 6, dtype=torch.float64)
    initialise(network, x)
    once = {name: p.clone() for name, p in network.named_parameters()}
    initialise(network, x)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter, once[name], atol=1e-9, rtol=1e-9)


def test_nothing_else_initialises():
    """Neither evaluation nor training mode touches a parameter."""
    network = PixelCNNpp((1, 6, 6), 1, channels=3, resnets=1)
    before = {name: p.clone() for name, p in network.named_parameters()}
    network(torch.rand(4, 1, 6, 6))
    network.eval()(torch.rand(4, 1, 6, 6))
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())


def test_initialisation_is_in_the_state_dict():
    network = network_for(Bernoullis(1), (1, 6, 6))
    fresh = PixelCNNpp((1, 6, 6), 1, channels=4, resnets=1).double().eval()
    x = torch.rand(3, 1, 6, 6, dtype=torch.float64)
    assert not torch.equal(fresh(x), network(x))
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(fresh(x), network(x))


def test_weight_normalisation_starts_at_the_plain_network():
    """g = |v| at first: nothing but the parametrisation differs."""
    plain = PixelCNNpp((1, 6, 6), 1, channels=3, resnets=1, weight_norm=False).double().eval()
    normalised = PixelCNNpp((1, 6, 6), 1, channels=3, resnets=1).double().eval()
    missing, unexpected = normalised.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    for layer in normalised.modules():
        if getattr(layer, "gain", None) is not None:
            dim = 1 if type(layer).__name__ == "DoublingConv2d" else 0
            layer.gain.data = layer.weight.transpose(0, dim).flatten(1).norm(dim=1)
    assert all(name.endswith(("gain", "initialised")) for name in missing)
    x = torch.rand(3, 1, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(normalised(x), plain(x))


@pytest.mark.parametrize("weight_norm", [True, False])
def test_scaling_v_changes_normalised_networks_nowhere(weight_norm):
    network = PixelCNNpp((1, 6, 6), 1, channels=3, resnets=1, weight_norm=weight_norm).double().eval()
    x = torch.rand(3, 1, 6, 6, dtype=torch.float64)
    expected = network(x)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter *= 3 if name.endswith("weight") else 1
    assert torch.allclose(network(x), expected, atol=1e-12) == weight_norm


def test_only_normalised_networks_are_initialised():
    with pytest.raises(ValueError, match="weight_norm=True"):
        initialise(PixelCNN((1, 4, 4), 1), torch.rand(2, 1, 4, 4))


def test_what_cannot_be_made_is_refused():
    with pytest.raises(ValueError, match="at least 1 resolution; got 0"):
        PixelCNNpp((1, 4, 4), 1, resolutions=0)
    with pytest.raises(ValueError, match=r"size \(4, 4\); got the shape \(2, 3, 4\)"):
        PixelCNNpp((1, 4, 4), 1, channels=2, resnets=1, context=(2, 3, 4))


FAMILIES = {
    "mixture of colours": (LogisticMixtures(3, components=2, levels=5), (3, 5, 6), {}),
    "mixture of colours given a class": (
        LogisticMixtures(3, components=2, levels=5),
        (3, 3, 5),
        {"context": 2, "resnets": 2},
    ),
    "mixture of greys given a map": (
        LogisticMixtures(1, components=3, levels=5),
        (1, 5, 5),
        {"context": (2, 5, 5)},
    ),
    "binary": (Bernoullis(1), (1, 7, 5), {}),
}


def samples(name, sampler, *, n=12, training=False, known=None):
    family, shape, options = FAMILIES[name]
    network = network_for(family, shape, **options).train(training)
    torch.manual_seed(3)
    c = None
    if network.context_shape is not None:
        c = torch.randn(n, *network.context_shape, dtype=torch.float64)
    p = Autoregressive(network, family, context=c, sampler=sampler(network))
    torch.manual_seed(4)
    if known is None:
        return p.sample(() if c is not None else (n,))
    x = 2 * torch.randint(0, 5, (n, *shape)).double() / 4 - 1
    return p.complete(x, known)


SAMPLERS = {
    "cached": lambda network: network.sampler,
    "fixed point": lambda network: fixed_point,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_levels_are_drawn_alike_by_every_sampler(name):
    expected = samples(name, lambda network: ancestral)
    assert len(expected.flatten(1).unique(dim=0)) == len(expected)
    for sampler in SAMPLERS.values():
        assert torch.equal(samples(name, sampler), expected)


@pytest.mark.parametrize("name", ["mixture of colours", "mixture of greys given a map"])
def test_levels_are_completed_alike_by_every_sampler(name):
    shape = FAMILIES[name][1]
    known = torch.zeros(shape, dtype=torch.bool)
    known[:, :2], known[:, :, 1] = True, True
    expected = samples(name, lambda network: ancestral, known=known)
    for sampler in SAMPLERS.values():
        assert torch.equal(samples(name, sampler, known=known), expected)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_dropout_is_off_while_sampling(sampler):
    name = "mixture of colours"
    found = samples(name, SAMPLERS[sampler], training=True)
    assert torch.equal(found, samples(name, lambda network: ancestral))


def test_dropout_is_on_in_training():
    network = network_for(Bernoullis(1), (1, 6, 6)).train()
    x = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    assert not torch.equal(network(x), network(x))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 6), (1, 6, 1), (3, 2, 3), (1, 9, 4)])
def test_images_of_any_size(shape):
    family = LogisticMixtures(shape[0], components=2, levels=5)
    network = network_for(family, shape)
    x = torch.rand(2, *shape, dtype=torch.float64)
    assert network(x).shape == (2, *network.out_shape)
    torch.manual_seed(0)
    expected = Autoregressive(network, family, sampler=ancestral).sample((3,))
    torch.manual_seed(0)
    assert torch.equal(Autoregressive(network, family).sample((3,)), expected)


def test_the_features_at_a_pixel_are_those_everywhere():
    """Of the cached evaluation, up to rounding, in single precision too."""
    for dtype, tolerance in [(torch.float64, 1e-10), (torch.float32, 1e-4)]:
        network = network_for(Bernoullis(1), (1, 7, 6), dtype=dtype)
        found = []
        features = network.features
        network.features = lambda *args, f=features, found=found: found.append(f(*args)) or found[-1]
        x = Autoregressive(network, Bernoullis(1)).sample((4,))
        by_pixel = torch.stack(found[-42:], -1).view(4, 1, 7, 6)
        network.features = features
        torch.testing.assert_close(by_pixel, network(x), atol=tolerance, rtol=0)
