"""NVAE's cells: shapes, weights, padding."""

import pytest
import torch

from zoo.nn.cells import (
    FactorisedReduce,
    LogNormConv2d,
    PaddedImage,
    SqueezeExcite,
)
from zoo.nn.preactivations import batch_norm_elu, batch_norm_swish, elu_only
from zoo.nn.residual_cells import regular_cell, separable_cell

CELLS = {"regular": regular_cell, "separable": separable_cell}


@pytest.mark.parametrize("resample", [-1, 0, 1])
@pytest.mark.parametrize("before", [batch_norm_swish, batch_norm_elu, elu_only])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_cell_changes_channels_and_resolution_as_it_is_asked_to(cell, before, resample):
    made = cell(6, 10, resample=resample, before=before)
    side = {-1: 4, 0: 8, 1: 16}[resample]
    assert made(torch.randn(3, 6, 8, 8)).shape == (3, 10, side, side)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_cell_adds_a_tenth_of_its_body_to_its_input(cell):
    made, x = cell(4, 4, squeeze_excite=False).eval(), torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(made(x) - x, 0.1 * made.body(x))


def test_weight_normalisation_begins_with_the_weights_of_a_plain_convolution():
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(3, 5, 3)
    torch.manual_seed(0)
    normed, x = LogNormConv2d(3, 5, 3), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(normed(x), plain(x))


def test_the_norm_of_a_weight_is_its_gain_whatever_v_is():
    layer = LogNormConv2d(3, 5, 3)
    torch.nn.init.normal_(layer.weight, std=7.0)
    norms = layer.effective().flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, layer.log_gain.exp())


def test_the_channels_of_a_cell_are_weighed_between_0_and_1():
    gate, x = SqueezeExcite(5), torch.rand(2, 5, 3, 3) + 1
    factors = gate(x) / x
    assert ((factors > 0) & (factors < 1)).all()
    torch.testing.assert_close(factors, factors[:, :, :1, :1].expand_as(factors))


def test_half_the_resolution_sees_every_pixel_once():
    reduce, x = FactorisedReduce(1, 4), torch.rand(1, 1, 4, 4, requires_grad=True)
    seen = [torch.autograd.grad(y, x, retain_graph=True)[0] != 0 for y in reduce(x).flatten()]
    assert (sum(s.int() for s in seen) == 1).all()


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 28, 28), [32, 32]), ((3, 6, 5), [8, 8]), ((1, 1, 3), [8, 8])]
)
def test_cropping_undoes_padding(shape, size):
    image, x = PaddedImage(shape, 8, binary=False), torch.rand(2, *shape)
    padded = image(x)
    assert list(padded.shape[2:]) == size
    assert torch.equal(image.crop()(padded), x)
    assert padded.sum() == pytest.approx(x.sum().item() - (padded.numel() - x.numel()), rel=1e-5)


def test_binary_images_are_scaled_as_images_on_a_grid_are():
    x = torch.rand(2, 1, 6, 5).round()
    assert torch.equal(
        PaddedImage((1, 6, 5), 4, binary=True)(x), PaddedImage((1, 6, 5), 4, binary=False)(2 * x - 1)
    )
