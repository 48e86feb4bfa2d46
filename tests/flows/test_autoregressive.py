"""Laws of autoregressive flows and of their networks: what depends on what."""

import pytest
import torch
from pyro.distributions import transforms
from pyro.nn import AutoRegressiveNN
from torch import nn

from flows import IAF, MAF, Autoregressive
from flows.builders import iaf, maf
from flows.nn.made import MADE
from flows.nn.masked_conv import MaskedConv2d, MaskedConvNet
from flows.univariate import Affine

P = 2


def dependence(net, shape, context=None):
    """(elements, elements): whether any of the parameters of the row's element depends on the column's."""
    torch.manual_seed(1)
    net = net.double()
    size = torch.Size(shape).numel()
    found = torch.zeros(size, size)
    for _ in range(12):  # a ReLU that is off hides what it sees
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.randn_like(parameter))
        x = torch.randn(*shape, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda x: net(x, context), x, vectorize=True)
        found += jacobian.reshape(P, size, size).abs().sum(0)
    return found != 0


def before(order):
    """(elements, elements): whether the column's element comes before the row's."""
    ranks = torch.as_tensor(order).argsort()
    return ranks < ranks[:, None]


def raster(shape, *, reverse):
    """The elements of (C, H, W) in order: rows, pixels, channels."""
    order = torch.arange(torch.Size(shape).numel()).reshape(shape).permute(1, 2, 0).flatten()
    return order.flip(0) if reverse else order


@pytest.mark.parametrize("order", [range(6), range(6)[::-1], [3, 0, 5, 1, 4, 2]], ids=str)
@pytest.mark.parametrize("context", [None, (2,)], ids=str)
@pytest.mark.parametrize("hidden", [(), (20,), (24, 30), (6, 40, 6)], ids=str)
def test_made_sees_all_elements_before_and_no_other(order, context, hidden):
    net = MADE(6, P, hidden=hidden, order=order, context=context)
    c = None if context is None else torch.randn(context, dtype=torch.float64)
    assert torch.equal(dependence(net, (6,), c), before(order))


@pytest.mark.parametrize("hidden", [(1,), (2, 3), (3, 20), (20, 2)], ids=str)
def test_narrow_made_sees_no_later_element(hidden):
    seen = dependence(MADE(6, P, hidden=hidden), (6,))
    assert not seen[~before(range(6))].any()
    assert seen[-1, 0]


def test_narrow_layers_see_the_first_and_the_last_but_one_element():
    assert MADE(64, P, hidden=(2,)).degrees == [[1, 63]]
    assert MADE(64, P, hidden=(2,), context=(3,)).degrees == [[0, 63]]


def test_units_are_spread_evenly_over_the_degrees():
    (degrees,) = MADE(65, P, hidden=(256,)).degrees
    assert all(degrees.count(m) == 4 for m in range(1, 65))


@pytest.mark.parametrize("features", [1, 4])
def test_context_reaches_every_element(features):
    net = MADE(features, P, hidden=(12,), context=(3,)).double()
    nn.init.normal_(net.layers[-1].weight)
    x = torch.zeros(features, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda c: net(x, c), torch.randn(3, dtype=torch.float64))
    assert jacobian.reshape(P, features, 3).ne(0).any(0).all()


@pytest.mark.parametrize("reverse", [False, True], ids=["raster", "reversed"])
@pytest.mark.parametrize("shape", [(1, 4, 3), (2, 3, 4), (3, 3, 3)], ids=str)
@pytest.mark.parametrize("context", [None, (2,), (2, None, None)], ids=["none", "vector", "map"])
def test_masked_convolutions_see_all_elements_before_and_no_other(shape, reverse, context):
    """No blind spot: the corner to the upper right is seen too."""
    context = (2, *shape[1:]) if context is not None and len(context) == 3 else context
    net = MaskedConvNet(shape, P, hidden=(12, 12), kernel=5, reverse=reverse, context=context)
    c = None if context is None else torch.randn(context, dtype=torch.float64)
    assert torch.equal(dependence(net, shape, c), before(raster(shape, reverse=reverse)))


@pytest.mark.parametrize("reverse", [False, True], ids=["raster", "reversed"])
def test_map_stays_at_its_pixels(reverse):
    """Without hidden mixing, a pixel's parameters see the context next to it and not far away."""
    net = MaskedConvNet((1, 5, 5), P, hidden=(8,), reverse=reverse, context=(1, 5, 5)).double()
    nn.init.normal_(net.last.weight)
    x = torch.zeros(1, 5, 5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda c: net(x, c), torch.zeros_like(x))
    seen = jacobian.reshape(P, 5, 5, 5, 5).ne(0).any(0)[0, 1]  # of the pixel in row 0, column 1
    assert seen[:2, :3].any()
    assert not seen[2:].any()
    assert not seen[:, 3:].any()


@pytest.mark.parametrize("include_current", [False, True], ids=["A", "B"])
def test_masked_convolution_orders_the_colors_of_a_pixel(include_current):
    layer = MaskedConv2d(6, 9, 3, include_current=include_current, colors=3)
    for i in range(6):
        for o in range(9):
            same_pixel = i // 2 <= o // 3 if include_current else i // 2 < o // 3
            expected = torch.tensor([[1, 1, 1], [1, same_pixel, 0], [0, 0, 0]])
            assert torch.equal(layer.mask[o, i], expected.float())


def test_masked_convolution_computes_with_the_masked_kernel():
    layer = MaskedConv2d(1, 1, 3, include_current=False)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert layer(x)[0, 0, 1, 1] == 0 + 1 + 2 + 3


@pytest.mark.parametrize("shape", [4, (2, 2, 2)], ids=str)
def test_reversed_flow_is_the_flow_of_the_reversed_elements(shape):
    torch.manual_seed(0)
    flow, turned = IAF(shape, hidden=(8,)), IAF(shape, hidden=(8,), reverse=True)
    x = torch.randn(3, *flow.event_shape)
    for f, order in ((flow, 1), (turned, -1)):
        noisy(f)
        jacobian = torch.autograd.functional.jacobian(lambda t, f=f: f(t.reshape(f.event_shape)), x[0])
        size = x[0].numel()
        ranks = torch.arange(size) if x.dim() == 2 else raster(shape, reverse=False)
        matrix = jacobian.reshape(size, size)[ranks][:, ranks]
        upper = matrix.triu(1) if order == 1 else matrix.tril(-1)
        lower = matrix.tril(-1) if order == 1 else matrix.triu(1)
        assert not upper.any()
        assert lower.any()


def test_maf_is_the_inverse_of_iaf_with_its_parameters():
    torch.manual_seed(0)
    flow, other = noisy(IAF(4, hidden=(8,), context=2)).double(), MAF(4, hidden=(8,), context=2).double()
    other.load_state_dict(flow.inv.state_dict())
    x, c = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    for ours, theirs in ((flow.inv, other), (flow, other.inv)):
        with torch.no_grad():
            y, log_det = ours.call_and_log_det(x, c)
            expected, expected_log_det = theirs.call_and_log_det(x, c)
        assert torch.equal(y, expected)
        assert torch.equal(log_det, expected_log_det)


def test_agrees_with_pyro():
    torch.manual_seed(0)
    flow = noisy(IAF(5, hidden=(7, 9), bound=None), 0.3)
    network = AutoRegressiveNN(5, [7, 9], permutation=torch.arange(5))
    theirs = transforms.AffineAutoregressive(network)
    for ours, layer in zip(flow.net.layers, network.layers, strict=True):
        last = ours is flow.net.layers[-1]
        for source, target in ((ours.weight, layer.weight), (ours.mask, layer.mask), (ours.bias, layer.bias)):
            target.data.copy_(source.roll(5, 0) if last else source)  # theirs is (t, s)
    x = torch.randn(20, 5)
    y, log_det = flow.call_and_log_det(x)
    torch.testing.assert_close(y, theirs(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(log_det, theirs.log_abs_det_jacobian(x, theirs(x)), rtol=0, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(flow.inv(y), theirs._inverse(y), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "shape", "context"),
    [
        (iaf, 6, None),
        (maf, 6, None),
        (iaf, (1, 4, 4), None),
        (maf, (2, 4, 4), None),
        (iaf, (3, 8, 8), (5, 8, 8)),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_builders_start_at_the_identity(build, shape, context):
    flow = build(shape, context=context, hidden=(16,))
    x = torch.randn(2, *flow.event_shape)
    c = None if context is None else torch.randn(2, *context)
    with torch.no_grad():
        for run in (flow.call_and_log_det, flow.inverse_and_log_det):
            y, log_det = run(x, c)
            assert torch.equal(y, x)
            assert torch.equal(log_det, torch.zeros(2))


@pytest.mark.parametrize("build", [iaf, maf])
def test_builders_reverse_the_order_and_make_the_fast_direction_one_pass(build):
    flow = build(4, layers=3, hidden=(8,))
    nets = [getattr(f, "original", f).net for f in flow.flows]
    assert [net.order.tolist()[0] for net in nets] == [0, 3, 0]
    runs = []
    for net in nets:
        net.register_forward_hook(lambda *_: runs.append(1))
    x = torch.randn(2, 4)
    (flow.inverse_and_log_det if build is maf else flow.call_and_log_det)(x)
    assert len(runs) == 3


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"order of the elements 0 .. 2.*\[0, 0, 1\]"):
        MADE(3, 2, order=[0, 0, 1])
    with pytest.raises(ValueError, match="at least 1 unit"):
        MADE(3, 2, hidden=(4, 0))
    with pytest.raises(ValueError, match="odd sides"):
        MaskedConv2d(1, 1, 4, include_current=False)
    with pytest.raises(ValueError, match="odd"):
        MaskedConvNet((1, 4, 4), 2, kernel=2)
    with pytest.raises(ValueError, match="at least one hidden layer"):
        MaskedConvNet((1, 4, 4), 2, hidden=())
    with pytest.raises(ValueError, match=r"vectors? .*|D or \(C, H, W\)"):
        Autoregressive((3, 4), Affine())
    with pytest.raises(ValueError, match=r"outputs of shape \(6,\).*got a tensor of shape \(2, 9\)"):
        IAF(3, net=MADE(3, 3))(torch.zeros(2, 3))


def noisy(flow, scale=0.3):
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return flow
