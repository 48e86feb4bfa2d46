"""WaveNet: which positions it sees, its convolution, and what it refuses."""

import itertools

import pytest
import torch

from tests.contracts import assert_equal_up_to_rounding, operations
from tests.nn.causal.networks import images
from tests.nn.causal.test_laws import dependence
from zoo.nn.causal import WaveNet
from zoo.nn.causal.wavenet import DilatedConv1d


def positive(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(0.1, 0.3)
    return network


@pytest.mark.parametrize(
    ("kernel", "dilations"),
    [(2, (1, 2, 4)), (2, (1, 2, 4, 1, 2)), (3, (1, 3)), (2, (4,)), (3, (5,)), (1, (1,))],
)
def test_the_positions_seen_are_the_sums_of_taps(kernel, dilations):
    """Of the first convolution a tap but the own position's, of every layer any tap."""
    length = 20
    network = positive(
        WaveNet((1, length), 1, channels=2, dilations=dilations, kernel=kernel, skip=2, head=2).double()
    )
    taps = [range(1, kernel), *([d * k for k in range(kernel)] for d in dilations)]
    back = {sum(path) for path in itertools.product(*taps)}
    assert max(back, default=0) == network.reach
    found = dependence(network, images(network, 1)[0], None) > 0
    t = torch.arange(length)
    steps = t[:, None] - t
    expected = torch.tensor([[step in back for step in row] for row in steps.tolist()])
    assert torch.equal(found, expected)


def test_doubling_dilations_leave_no_blind_spot():
    network = positive(WaveNet((1, 17), 1, channels=2, dilations=(1, 2, 4, 8), skip=2, head=2).double())
    assert network.reach == 16
    found = dependence(network, images(network, 1)[0], None) > 0
    assert torch.equal(found, torch.ones(17, 17).tril(-1).bool())


def test_an_image_is_the_sequence_of_its_pixels():
    torch.manual_seed(0)
    arguments = {"channels": 6, "dilations": (1, 2), "skip": 6, "head": 6, "groups": 3}
    image, sequence = WaveNet((3, 4, 5), 6, **arguments), WaveNet((3, 20), 6, **arguments)
    sequence.load_state_dict(image.state_dict())
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(image.sites.flatten(1), sequence.sites)
    found, expected = image(x).flatten(2), sequence(x.flatten(2))
    assert_equal_up_to_rounding(found, expected, operations=operations(image))


def test_the_dilated_convolution_is_its_sum():
    conv = DilatedConv1d(2, 3, 3, dilation=2).double()
    x = torch.randn(4, 2, 7, dtype=torch.float64)
    expected = conv.bias[:, None].expand(4, 3, 7).clone()
    for t, tap in itertools.product(range(7), range(3)):
        if t - 2 * (2 - tap) >= 0:
            expected[..., t] += x[..., t - 2 * (2 - tap)] @ conv.weight[..., tap].T
    torch.testing.assert_close(conv(x), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(8,), (1, 2, 3, 4)])
def test_events_are_sequences_or_images(shape):
    with pytest.raises(ValueError, match=r"expected an event of shape \(C, T\) or \(C, H, W\); got"):
        WaveNet(shape, 1)
