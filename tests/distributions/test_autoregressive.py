"""Laws of autoregressive distributions, with a network that is one triangular matrix."""

import copy
import itertools

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from distributions import Autoregressive, DiscretizedLogisticMixture
from distributions.ancestral import ancestral, fixed_point
from tests.distributions.goodness import z_score


class Triangular(nn.Module):
    """Features of an element: linear in those of smaller sites, and in the context."""

    def __init__(self, shape, *, features=1, context=None, order=None):
        super().__init__()
        self.event_shape, self.context_shape = shape, context
        size = torch.Size(shape).numel()
        order = torch.arange(size) if order is None else order
        self.register_buffer("sites", order.view(shape))
        before = order[:, None] > order  # (D, D): whether the row sees the column
        self.weight = nn.Parameter(1.5 * torch.randn(features, size, size) * before)
        self.bias = nn.Parameter(torch.randn(features, size))
        self.of_context = nn.Linear(*context, features) if context else None
        self.passes = 0

    def forward(self, x, context=None):
        self.passes += 1
        h = torch.einsum("fij,nj->nfi", self.weight, x.flatten(1)) + self.bias
        if self.of_context is not None:
            h = h + self.of_context(context)[..., None]
        return h.view(len(x), -1, *self.event_shape[1:])


def bernoulli(features):
    return dist.Bernoulli(logits=features).to_event(features.dim() - 1)


def binary(shape=(1, 2, 3), **options):
    network = Triangular(shape, **options).double()
    context = torch.randn(4, *options["context"]).double() if "context" in options else None
    return Autoregressive(network, bernoulli, context=context)


def every(shape, levels=2):
    values = itertools.product(range(levels), repeat=torch.Size(shape).numel())
    return torch.tensor(list(values), dtype=torch.float64).view(-1, *shape)


ORDERS = {
    "raster": torch.arange(6),
    "backwards": torch.arange(6).flip(0),
    "shuffled": torch.tensor([3, 0, 5, 1, 4, 2]),
    "two at a time": torch.tensor([0, 0, 1, 1, 2, 2]),
    "all at once": torch.zeros(6, dtype=torch.long),
}
orders = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


@orders
def test_masses_sum_to_one(order):
    p = binary(order=order)
    torch.testing.assert_close(p.log_prob(every((1, 2, 3))).exp().sum().item(), 1.0, atol=1e-12, rtol=0)


def test_masses_given_each_context_sum_to_one():
    p = binary(context=(3,))
    x = every((1, 2, 3)).unsqueeze(1).expand(-1, 4, -1, -1, -1)
    total = p.log_prob(x).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(4, dtype=torch.float64), atol=1e-12, rtol=0)


def test_a_network_that_looks_ahead_would_show():
    """Control."""
    p = binary()
    with torch.no_grad():
        p.network.weight[0, 0, 3] = 2.0
    assert abs(p.log_prob(every((1, 2, 3))).exp().sum() - 1) > 0.01


@orders
@pytest.mark.parametrize("sampler", [ancestral, fixed_point])
def test_samples_follow_log_prob(order, sampler):
    p = binary(order=order)
    p.sampler = sampler
    x = p.sample((20_000,)).flatten(1).long()
    counts = torch.bincount((x * 2 ** torch.arange(5, -1, -1)).sum(1), minlength=64)
    assert abs(z_score(counts, p.log_prob(every((1, 2, 3))).exp().detach())) < 5


@orders
def test_every_sampler_returns_the_same(order):
    p = binary(order=order)
    samples = []
    for p.sampler in (ancestral, fixed_point):
        torch.manual_seed(3)
        samples.append(p.sample((200,)))
    assert torch.equal(*samples)


def test_passes():
    p = binary((1, 2, 3))
    p.sampler, p.network.passes = ancestral, 0
    p.sample((5,))
    assert p.network.passes == 1 + 6
    p.sampler, p.network.passes = fixed_point, 0
    p.sample((5,))
    assert p.network.passes <= 1 + 6


@pytest.mark.parametrize("sample_shape", [(), (5,), (2, 5)])
@pytest.mark.parametrize("options", [{}, {"context": (3,)}])
def test_shapes(sample_shape, options):
    p = binary(**options)
    x = p.sample(sample_shape)
    assert x.shape == sample_shape + p.batch_shape + p.event_shape
    assert p.log_prob(x).shape == sample_shape + p.batch_shape
    assert p.support.check(x).all()
    assert x.dtype == torch.float64


def test_each_sample_follows_its_own_context():
    p = binary(context=(3,))
    x = p.sample((7,))
    alone = [Autoregressive(p.network, bernoulli, context=c) for c in p.context]
    expected = torch.stack([q.log_prob(x[:, i]) for i, q in enumerate(alone)], 1)
    torch.testing.assert_close(p.log_prob(x), expected)


def test_expanding():
    p = binary(context=(3,))
    q = p.expand((5, 4))
    assert q.batch_shape == (5, 4)
    x = q.sample()
    torch.testing.assert_close(q.log_prob(x), p.log_prob(x))
    assert binary().expand((3,)).sample().shape == (3, 1, 2, 3)


def test_batches_of_contexts_broadcast_with_those_of_values():
    """Contexts (3, 1), values (4,): each of the (3, 4) has its own context, scored and completed."""
    p = binary(context=(3,))
    network = p.network
    p = Autoregressive(network, bernoulli, context=p.context[:3, None])
    x = every((1, 2, 3))[:4]
    expected = [Autoregressive(network, bernoulli, context=c[0]).log_prob(x) for c in p.context]
    torch.testing.assert_close(p.log_prob(x), torch.stack(expected))
    known = torch.ones(1, 2, 3, dtype=torch.bool)
    assert torch.equal(p.complete(x, known), x.expand(3, 4, 1, 2, 3))
    with torch.no_grad():
        network.of_context.weight.fill_(1e3)  # the context is all that matters
    signs = torch.tensor([-1.0, 1.0, -1.0]).double()
    p = Autoregressive(network, bernoulli, context=signs[:, None].expand(3, 3))
    assert torch.equal(p.complete(x[0], ~known), (signs > 0).double().view(3, 1, 1, 1).expand(3, 1, 2, 3))


@pytest.mark.parametrize("sampler", [ancestral, fixed_point])
@pytest.mark.parametrize("options", [{}, {"context": (3,)}])
def test_nothing_is_drawn_of_an_empty_batch(sampler, options):
    p = binary(**options)
    p.sampler = sampler
    empty = p.expand((0, *p.batch_shape))
    for q, shape in ((p, (0, *p.batch_shape)), (empty, ())):
        x = q.sample(shape[:1])
        assert x.shape == (0, *p.batch_shape, *p.event_shape)
        assert q.log_prob(x).shape == x.shape[:-3]
        assert q.complete(x, torch.zeros(1, dtype=torch.bool)).shape == x.shape


@pytest.mark.parametrize("sampler", [ancestral, fixed_point])
def test_completing_keeps_what_is_known(sampler):
    p = binary()
    p.sampler = sampler
    known = torch.tensor([True, False, True]).expand(1, 2, 3)
    x = torch.ones(50, 1, 2, 3, dtype=torch.float64)
    y = p.complete(x, known)
    assert (y[..., known[0]] == 1).all()
    assert set(y.unique().tolist()) == {0.0, 1.0}


def test_completions_of_a_known_beginning_are_exact():
    p = binary()
    known = torch.tensor([[True, True, True], [False, False, False]])
    x = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]).double().expand(20_000, 1, 2, 3)
    counts = torch.bincount(p.complete(x, known)[:, 0, 1].long() @ torch.tensor([4, 2, 1]), minlength=8)
    beginnings = every((1, 2, 3))
    fits = (beginnings[:, 0, 0] == x[0, 0, 0]).all(1)
    masses = p.log_prob(beginnings[fits]).softmax(0).detach()
    assert abs(z_score(counts, masses)) < 5


def test_a_low_temperature_sharpens():
    p = binary()
    assert p.with_temperature(1e-3).sample((50,)).unique(dim=0).shape[0] == 1
    x = p.sample()
    assert torch.equal(p.with_temperature(1.0).log_prob(x), p.log_prob(x))


def test_pixels_of_several_channels_are_drawn_together():
    """A mixture of discretized logistics: one site a pixel, the channels coupled inside it."""

    def head(features):
        logits, loc, log_scale, rho = features.unflatten(1, (2, 6)).split([1, 2, 2, 1], dim=2)
        return DiscretizedLogisticMixture(logits.squeeze(2), loc, log_scale, rho, levels=3)

    order = torch.arange(2).expand(2, 2)
    network = Triangular((2, 1, 2), order=order.reshape(-1), features=1)
    network.weight = nn.Parameter(
        torch.randn(12, 2, 4) * torch.tensor([[0], [1]]) * torch.tensor([1, 0, 1, 0])
    )
    network.bias = nn.Parameter(torch.randn(12, 2))
    network.double()
    p = Autoregressive(network, head)
    x = every((2, 1, 2), 3) - 1
    torch.testing.assert_close(p.log_prob(x).exp().sum().item(), 1.0, atol=1e-12, rtol=0)
    draws = (p.sample((50_000,)) + 1).flatten(1).long() @ torch.tensor([27, 9, 3, 1])
    assert abs(z_score(torch.bincount(draws, minlength=81), p.log_prob(x).exp().detach())) < 5
    samples = []
    for p.sampler in (ancestral, fixed_point):
        torch.manual_seed(3)
        samples.append(p.sample((200,)))
    assert torch.equal(*samples)


def test_as_a_pyro_site():
    p = binary(context=(3,))
    x = p.sample()

    def model():
        with pyro.plate("batch", 4):
            pyro.sample("x", p, obs=x)

    trace = pyro.poutine.trace(model).get_trace()
    torch.testing.assert_close(trace.log_prob_sum(), p.log_prob(x).sum())


def test_a_context_that_does_not_fit_is_refused():
    network = Triangular((1, 2, 3), context=(3,))
    with pytest.raises(ValueError, match=r"contexts of shape \(3,\); got None"):
        Autoregressive(network, bernoulli)
    with pytest.raises(ValueError, match=r"contexts of shape \(3,\); got a tensor of shape \(4, 2\)"):
        Autoregressive(network, bernoulli, context=torch.zeros(4, 2))


@pytest.mark.parametrize("shape", [(7, 1, 1, 3), (7, 1, 2, 1), (2, 3), (7, 1, 2, 4)])
def test_values_of_another_shape_are_refused(shape):
    """Also those that would broadcast to the event: a density of one pixel repeated is none of the image."""
    p = binary()
    for score in (p.log_prob, lambda x: p.complete(x, torch.ones(1, dtype=torch.bool))):
        with pytest.raises(ValueError, match=r"expected x of shape \(\*batch, 1, 2, 3\); got"):
            score(torch.ones(shape).double())


@pytest.mark.parametrize("known", [torch.ones(1), torch.ones(2, 2, dtype=torch.bool), torch.tensor([[3]])])
def test_what_is_known_is_booleans_that_broadcast(known):
    with pytest.raises(ValueError, match=r"known, booleans of a shape that broadcasts to \(7, 1, 2, 3\)"):
        binary().complete(torch.zeros(7, 1, 2, 3).double(), known)


def test_a_copy_is_equal():
    p = binary()
    x = p.sample()
    assert torch.equal(copy.deepcopy(p).log_prob(x), p.log_prob(x))


@pytest.mark.parametrize("sampler", [ancestral, fixed_point])
def test_progress_is_told(sampler):
    p, shares = binary(), []
    p.sampler = sampler
    p.with_progress(shares.append).sample((4,))
    assert shares == sorted(shares)
    assert shares[-1] == 1
