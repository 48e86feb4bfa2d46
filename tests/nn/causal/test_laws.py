"""Laws of causal networks: they see all that comes before, nothing else, and sample the same by every way."""

import copy
import itertools
import pickle

import pyro.distributions as dist
import pytest
import torch

from distributions import Autoregressive
from distributions.ancestral import SamplingTask, ancestral, fixed_point
from distributions.draws import uniforms
from tests.nn.causal.networks import CASES, context, images

networks = pytest.mark.parametrize("name", CASES)
MADE = {name: case.make() for name, case in CASES.items()}
one_a_class = pytest.mark.parametrize(
    "name", {type(network): name for name, network in reversed(MADE.items())}.values()
)
given = pytest.mark.parametrize("name", [n for n in MADE if MADE[n].context_shape])
binary = pytest.mark.parametrize("name", [n for n in MADE if MADE[n].event_shape[0] == 1])


def dependence(network, x, c):
    """|d features at element i / d x at element j| summed over the features of i's channel, (D, D)."""
    channels = network.event_shape[0]

    def features(x):
        f = network(x[None], c)[0]
        groups = f.shape[0] // channels if network.groups > 1 else f.shape[0]
        f = f.unflatten(0, (-1, groups)).square().sum(1)  # a number each channel, or one for all
        return f.expand(channels, *f.shape[1:]).flatten()

    jacobian = torch.autograd.functional.jacobian(features, x, vectorize=True)
    return jacobian.reshape(x.numel(), x.numel()).abs()


@networks
def test_features_see_nothing_that_does_not_come_before(name):
    network = CASES[name].network()
    seen = dependence(network, images(network, 1)[0], context(network, 1))
    assert (seen[~before(network)] == 0).all()


@networks
def test_features_see_all_that_comes_before_and_nothing_else(name):
    """With positive weights no ReLU hides a link. PixelCNN's blind spot is known."""
    network = CASES[name].network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    c = context(network, 1)
    seen = dependence(network, images(network, 1)[0], None if c is None else c.abs()) != 0
    assert not seen[~before(network)].any()
    assert (~seen & before(network)).any() == CASES[name].blind


def before(network):
    """Whether the row's site comes after the column's, (D, D)."""
    sites = network.sites.flatten()
    return sites[:, None] > sites


@binary
def test_masses_sum_to_one(name):
    network = CASES[name].network()
    c = context(network, 1)
    p = Autoregressive(network, bernoulli, context=None if c is None else c[0])
    free = 9
    values = torch.tensor(list(itertools.product([0.0, 1.0], repeat=free)), dtype=torch.float64)
    x = torch.zeros(len(values), *network.event_shape, dtype=torch.float64).flatten(1)
    x[:, :free] = values
    x = x.view(-1, *network.event_shape)
    # the first nine pixels are independent of what comes after: their marginal sums to one
    log_mass = pixel_log_probs(p, x).flatten(1)[:, :free].sum(1)
    torch.testing.assert_close(log_mass.exp().sum().item(), 1.0, atol=1e-12, rtol=0)


def bernoulli(features):
    return dist.Bernoulli(logits=features).to_event(features.dim() - 1)


def categorical(network):
    channels = network.event_shape[0]

    def head(features):
        logits = features.unflatten(1, (channels, -1)).movedim(2, -1)
        return dist.Categorical(logits=logits).to_event(features.dim() - 1)

    return head


def normal(features):
    return dist.Normal(features[:, :2], 0.5).to_event(features.dim() - 1)


def pixel_log_probs(p, x):
    contexts = None if p.context is None else p.context.expand(len(x), *p.network.context_shape)
    return dist.Bernoulli(logits=p.network(x, contexts)).log_prob(x)


def head_of(network):
    if network.event_shape[0] == 1:
        return bernoulli
    return categorical(network) if network.groups > 1 else normal


def drawn(network, sampler, n=20, seed=1):
    torch.manual_seed(seed)
    c = context(network, n)
    p = Autoregressive(network, head_of(network), context=c, sampler=sampler)
    return p.sample(() if c is not None else (n,))


@networks
def test_every_sampler_returns_the_same(name):
    network = CASES[name].network()
    expected = drawn(network, ancestral)
    assert len(expected.unique(dim=0)) > 1
    samplers = [fixed_point] + [network.sampler] * CASES[name].cached
    for sampler in samplers:
        found = drawn(network, sampler)
        if head_of(network) is normal:
            torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
        else:
            assert torch.equal(found, expected)


@networks
def test_completions_are_the_same_by_every_sampler(name):
    network = CASES[name].network()
    if head_of(network) is normal:
        pytest.skip("equality of real numbers is up to rounding")
    c, x = context(network, 5), drawn(network, ancestral, n=5)
    known = torch.zeros(network.event_shape[1:], dtype=torch.bool)
    known[..., 1] = True
    known[0] = True
    found = []
    for sampler in [ancestral, fixed_point] + [network.sampler] * CASES[name].cached:
        torch.manual_seed(2)
        contexts = None if c is None else c
        p = Autoregressive(network, head_of(network), context=contexts, sampler=sampler)
        found.append(p.complete(x, known))
    assert all(torch.equal(found[0], other) for other in found[1:])
    assert torch.equal(found[0][..., known], x[..., known])


@given
def test_the_context_matters(name):
    network = CASES[name].network()
    x = images(network, 1).expand(2, *network.event_shape)
    features = network(x, context(network, 2))
    assert (features[0] != features[1]).any()


@given
def test_rows_do_not_mix(name):
    network = CASES[name].network()
    x, c = images(network, 3), context(network, 3)
    together = network(x, c)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], network(x[i : i + 1], c[i : i + 1]))


@one_a_class
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_are_equal(name, copied):
    network = CASES[name].network()
    x, c = images(network, 2), context(network, 2)
    drawn(network, network.sampler if CASES[name].cached else fixed_point, n=2)
    assert torch.equal(copied(network)(x, c), network(x, c))


@networks
def test_every_parameter_is_trained(name):
    network = CASES[name].network()
    network(images(network, 3), context(network, 3)).square().sum().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert (parameter.grad != 0).any(), path


@networks
def test_masked_taps_do_nothing(name):
    """Their gradient is zero, and rewriting them changes no feature."""
    network = CASES[name].network()
    x, c = images(network, 2), context(network, 2)
    expected = network(x, c)
    expected.square().sum().backward()
    masked = [m for m in network.modules() if getattr(m, "mask", None) is not None]
    for module in masked:
        hidden = ~module.mask.expand_as(module.weight).bool()
        assert (module.weight.grad[hidden] == 0).all()
        module.weight.data[hidden] = 7.0
    assert torch.equal(network(x, c), expected)


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n].cached])
def test_a_cached_sample_touches_each_pixel_once(name):
    """One call of the network's features a site, whatever the number of samples."""
    network = CASES[name].network()
    calls = []
    features = network.features
    network.features = lambda x, c, at: calls.append(at) or features(x, c, at)
    p = Autoregressive(network, head_of(network), context=context(network, 4))
    size = uniforms(p.factors(images(network, 4)))
    noise = torch.rand(4, size, *network.event_shape[1:], dtype=torch.float64)
    start = torch.zeros(4, *network.event_shape, dtype=torch.float64)
    calls.clear()
    free = torch.ones_like(start, dtype=torch.bool)
    shares = []
    network.sampler(SamplingTask(network, p.head, p.context, noise, start, free, shares.append))
    assert shares[-1] == 1
    assert len(calls) == int(network.sites.max()) + 1
