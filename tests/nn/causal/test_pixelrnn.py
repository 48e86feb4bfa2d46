"""Row LSTM and Diagonal BiLSTM: the recurrences, what is seen, the parameters."""

import pytest
import torch
import torch.nn.functional as F

from distributions import Autoregressive
from distributions.ancestral import fixed_point
from tests.nn.causal.networks import images
from tests.nn.causal.test_laws import bernoulli, dependence
from zoo.nn.causal import DiagonalBiLSTM, RowLSTM
from zoo.nn.causal.diagonal_bilstm import DiagonalLayer
from zoo.nn.causal.skew import skew, unskew

sizes = pytest.mark.parametrize("size", [(4, 6), (6, 4), (1, 5), (5, 1), (1, 1)])


@sizes
def test_skew_moves_each_row(size):
    x = torch.randn(2, 3, *size)
    y = skew(x)
    height, width = size
    assert y.shape == (2, 3, height, width + height - 1)
    for r in range(height):
        expected = F.pad(x[..., r, :], (r, height - 1 - r))
        assert torch.equal(y[..., r, :], expected)


@sizes
def test_unskew_undoes_skew(size):
    x = torch.randn(2, 3, *size)
    assert torch.equal(unskew(skew(x)), x)


def cell(gates, c):
    """The paper's cell, gates (4h,) and c (h,)."""
    o, f, i, g = gates.chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def row_states(layer, gates):
    """By nested loops, of gates (4h, H, W)."""
    (_, height, width), (s0, c0) = gates.shape, layer.initial[:, 0, 0, 0]
    weight = layer.state_to_gates[0].chunk(3)
    states = {(-1, c): (s0, c0) for c in range(width)}
    for r in range(height):
        for c in range(width):
            total = gates[:, r, c]
            for tap, offset in zip(weight, (-1, 0, 1), strict=True):
                if 0 <= c + offset < width:
                    total = total + states[r - 1, c + offset][0] @ tap
            states[r, c] = cell(total, states[r - 1, c][1])
    return stacked(states, height, width)


def diagonal_states(layer, gates, direction):
    """By nested loops in one direction, of gates (4h, H, W), from left to right."""
    (_, height, width), (s0, c0) = gates.shape, layer.initial[:, direction, 0, 0]
    beside, above = layer.state_to_gates[direction].chunk(2)
    states = {}
    for r in range(height):
        for c in range(width):
            left, cell_left = states.get((r, c - 1), (s0, c0))
            up, _ = states.get((r - 1, c), (s0, c0))
            states[r, c] = cell(gates[:, r, c] + left @ beside + up @ above, cell_left)
    return stacked(states, height, width)


def stacked(states, height, width):
    return torch.stack([torch.stack([states[r, c][0] for c in range(width)], -1) for r in range(height)], -2)


@sizes
def test_row_lstm_is_the_nested_loops(size):
    layer = layer_of(RowLSTM, size)
    gates = torch.randn(2, 12, *size, dtype=torch.float64)
    expected = torch.stack([row_states(layer, g) for g in gates])
    torch.testing.assert_close(layer.recur(gates), expected, atol=1e-12, rtol=0)


@sizes
def test_diagonal_bilstm_is_the_nested_loops(size):
    layer = layer_of(DiagonalBiLSTM, size)
    gates = torch.randn(2, 24, *size, dtype=torch.float64)
    left = torch.stack([diagonal_states(layer, g, 0) for g in gates[:, :12]])
    right = torch.stack([diagonal_states(layer, g.flip(-1), 1) for g in gates[:, 12:]]).flip(-1)
    left[:, :, 1:] += right[:, :, :-1]
    torch.testing.assert_close(layer.recur(gates), left, atol=1e-12, rtol=0)


def layer_of(network, size):
    layer = network((1, *size), 1, channels=3, layers=1).double().layers[0]
    torch.nn.init.normal_(layer.initial)
    return layer


def seen(network):
    """Whether pixel i sees pixel j, (H, W, H, W); positive weights, so that no ReLU hides a link."""
    network = network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(0.1, 0.3)  # small enough not to saturate the gates
    size = network.event_shape[1:]
    return (dependence(network, images(network, 1)[0], None) > 0).view(*size, *size)


@pytest.mark.parametrize(("layers", "kernel"), [(1, 7), (2, 7), (2, 3)])
def test_row_lstm_sees_a_triangle(layers, kernel):
    """Each row above brings one more column on either side; the layers' own taps look left alone."""
    height, width, half = 6, 13, kernel // 2
    r, c, s, d = torch.meshgrid(*[torch.arange(n) for n in (height, width, height, width)], indexing="ij")
    up, aside = r - s, d - c
    own_row = (up == 0) & (aside < 0)
    above = (up > 0) & (aside <= up + half - 1)
    expected = (own_row | above) & (aside >= -(up + layers + half))
    found = seen(RowLSTM((1, height, width), 1, channels=2, layers=layers, head=2, kernel=kernel))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("extra", "blind"), [(0, 28), (1, 0)])
def test_one_more_column_removes_the_blind_spot(layers, extra, blind):
    """As published, (r - 1, W - 1) is unseen from (r, c < W - 4): 28 of the 2016 pairs of an 8 x 8 image."""
    network = DiagonalBiLSTM((1, 8, 8), 1, channels=2, layers=layers, head=2, extra=extra)
    found = seen(network).view(64, 64)
    past = torch.ones(64, 64).tril(-1).bool()
    assert past.sum() == 2016
    assert not (found & ~past).any()
    unseen = (past & ~found).view(8, 8, 8, 8)
    assert unseen.sum() == blind
    for r, c, s, d in unseen.nonzero().tolist():
        assert (s, d) == (r - 1, 7)
        assert c < 4


def test_without_the_shift_down_the_future_is_seen(monkeypatch):
    """The control of the laws of causality."""

    def unshifted(self, gates):
        left, right = gates.chunk(2, dim=1)
        left, right = unskew(self._diagonals(skew(torch.stack([left, right.flip(-1)]))))
        return left + right.flip(-1)

    monkeypatch.setattr(DiagonalLayer, "recur", unshifted)
    found = seen(DiagonalBiLSTM((1, 4, 4), 1, channels=2, layers=1, head=2)).view(16, 16)
    assert (found & ~torch.ones(16, 16).tril(-1).bool()).any()


COUNTS = {
    "row, 7 layers of 16": (RowLSTM, (1, 28, 28), 1, 16, 7, 32, 58_177),
    "diagonal, 7 layers of 16": (DiagonalBiLSTM, (1, 28, 28), 1, 16, 7, 32, 65_793),
    "diagonal, 1 layer of 32": (DiagonalBiLSTM, (1, 28, 28), 1, 32, 1, 32, 41_505),
    "row of CIFAR-10": (RowLSTM, (3, 32, 32), 768, 128, 12, 1024, 8_045_312),
    "diagonal of CIFAR-10": (DiagonalBiLSTM, (3, 32, 32), 768, 128, 12, 1024, 8_837_888),
    "row of ImageNet32": (RowLSTM, (3, 32, 32), 768, 384, 12, 1024, 55_849_728),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_counted(name):
    """Against a plain version: the whole first kernel, one more hidden layer, no learned initial states."""
    make, shape, features, channels, layers, head, plain = COUNTS[name]
    with torch.device("meta"):
        network = make(shape, features, channels=channels, layers=layers, head=head)
    directions = 1 if make is RowLSTM else 2
    lower_taps = (49 - 28) * shape[0] * 2 * channels  # all masked
    second_hidden = head * head + head
    initial = layers * directions * 2 * channels  # state and cell
    count = sum(p.numel() for p in network.parameters())
    assert count == plain - lower_taps - second_hidden + initial


@pytest.mark.parametrize("make", [RowLSTM, DiagonalBiLSTM])
def test_samples_are_found_by_fixed_point(make):
    network = make((1, 6, 6), 1, channels=3, layers=1, head=4)
    p = Autoregressive(network, bernoulli)
    assert p.sampler is fixed_point
    assert set(p.sample((4,)).unique().tolist()) <= {0.0, 1.0}
