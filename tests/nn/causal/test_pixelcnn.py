"""PixelCNN's sizes."""

import pytest
import torch

from zoo.nn.causal import PixelCNN

# published codes store whole kernels; ours leave out the rows below the pixel, which are always masked
SIZES = {
    "MNIST, 16 channels": ((1, 28, 28), 1, {"channels": 16, "blocks": 7, "head": 32}, 26_433),
    "MNIST, 32 channels": ((1, 28, 28), 1, {"channels": 32, "blocks": 7, "head": 32}, 99_393),
    "MNIST, 64 channels": ((1, 28, 28), 1, {"channels": 64, "blocks": 7, "head": 32}, 385_089),
    "MNIST, 15 blocks": ((1, 28, 28), 1, {"channels": 16, "blocks": 15, "head": 32}, 53_569),
    "CIFAR-10": ((3, 32, 32), 768, {"channels": 128, "blocks": 15, "head": 1024, "groups": 3}, 4_290_816),
}


@pytest.mark.parametrize(("shape", "features", "sizes", "published"), SIZES.values(), ids=SIZES)
def test_parameters_are_those_published_but_for_the_rows_below(shape, features, sizes, published):
    with torch.device("meta"):
        network = PixelCNN(shape, features, **sizes)
    h, blocks = sizes["channels"], sizes["blocks"]
    below = 3 * 7 * shape[0] * 2 * h + blocks * 3 * h * h  # 7x7 has three such rows, 3x3 one
    assert sum(p.numel() for p in network.parameters()) + below == published
