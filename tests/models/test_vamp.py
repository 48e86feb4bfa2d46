"""The systems under a VampPrior."""

import pytest
import torch
from torch import nn

from tests.catalogue import images, pair
from tests.contracts import dependencies
from zoo.models.hvae_vamp import conv_hvae_vamp, hvae_vamp, pixel_hvae_vamp
from zoo.models.vamp_vae import vamp_vae

MNIST = (1, 28, 28)
PSEUDO_INPUTS = 392_000
HIDDEN_BY_MASKS = 3 * 64 + 7 * 3 * 64 * 64  # the rows below of 3 x 3 windows, which are not stored


@pytest.mark.parametrize(
    ("builder", "count"),
    [
        (vamp_vae, 1_116_864),
        (hvae_vamp, 2_431_024),
        (conv_hvae_vamp, 2_210_861),
        (pixel_hvae_vamp, 1_385_821 - HIDDEN_BY_MASKS),
    ],
)
def test_sizes_are_the_papers(builder, count):
    with torch.device("meta"):
        both = nn.ModuleList(builder(MNIST))
    assert sum(p.numel() for p in both.parameters()) == count + PSEUDO_INPUTS


@pytest.mark.parametrize("name", ["hvae + vamp", "convolutional hvae + vamp"])
def test_dependencies_are_those_of_the_factorisation(name):
    model, guide = pair(name)
    assert dependencies(model, guide, images()) == {
        "q(z_2)": {"x"},
        "q(z_1)": {"x", "z_2"},
        "p(z_2)": set(),
        "p(z_1)": {"z_2"},
        "p(x)": {"z_1", "z_2"},
    }


def test_log_variances_are_bounded():
    _, guide = pair("vamp vae")
    x = 1e4 * torch.randn(50, 1, 6, 5).double()
    log_variance = 2 * guide.head(x).base_dist.scale.log()
    torch.testing.assert_close(log_variance.min().item(), -6.0)
    torch.testing.assert_close(log_variance.max().item(), 2.0)
