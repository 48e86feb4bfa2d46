"""MADE's size, and that nothing but its order limits what it can represent."""

import itertools

import torch

from distributions import Autoregressive
from zoo.nn.causal import MADE
from zoo.parts.families import Bernoullis


def test_the_published_size():
    """One hidden layer of 8,000: D h + h + h D + D numbers, the masked among them."""
    with torch.device("meta"):
        network = MADE((1, 28, 28), 1, hidden=(8000,))
    assert sum(p.numel() for p in network.parameters()) == 784 * 8000 + 8000 + 8000 * 784 + 784


def test_it_learns_a_law_in_which_every_pixel_decides_a_later_one():
    """x_4 is the parity of three fair bits: H = 3 log 2 nats, which no factorised law reaches."""
    torch.manual_seed(0)
    bits = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    x = torch.cat([bits, bits.sum(1, keepdim=True) % 2], 1).view(8, 1, 2, 2)
    p = Autoregressive(MADE((1, 2, 2), 1, hidden=(32, 32)), Bernoullis(1), batch_shape=(8,))
    optimizer = torch.optim.Adam(p.network.parameters(), 1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        loss = -p.log_prob(x).mean()
        loss.backward()
        optimizer.step()
    entropy = torch.tensor(8.0).log()
    assert entropy - 1e-4 < loss < entropy + 0.02
