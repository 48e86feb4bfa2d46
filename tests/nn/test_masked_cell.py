"""The flows of NVAE's posterior: order, volume, inverse."""

import pytest
import torch

from zoo.nn.masked_cell import MaskedCell, shift_pair

SHAPE = (2, 3, 3)


def jacobian(function, x):
    n = x.numel()
    return torch.autograd.functional.jacobian(
        lambda t: function(t.view(x.shape)).flatten(), x.flatten()
    ).view(n, n)


def in_order(matrix, shape):
    """Rows and columns by rows, pixels, channels."""
    c, h, w = shape
    order = torch.arange(c * h * w).view(c, h, w).permute(1, 2, 0).flatten()
    return matrix[order][:, order]


@pytest.mark.parametrize("reverse", [False, True])
def test_every_element_is_shifted_by_those_before_it_only(reverse):
    torch.manual_seed(0)
    cell = MaskedCell(2, reverse=reverse).double()
    found = in_order(jacobian(cell, torch.randn(1, *SHAPE).double()), SHAPE)
    found = found.flip(0, 1) if reverse else found
    assert (found.triu() == 0).all()
    assert (found.tril(-1) != 0).sum() > found.tril(-1).numel() / 4  # and by most of them


def test_a_pair_preserves_volume():
    torch.manual_seed(0)
    flow, x = shift_pair(SHAPE).double(), torch.randn(1, *SHAPE).double()
    _, logdet = torch.linalg.slogdet(jacobian(flow, x))
    assert logdet.abs() < 1e-12
    assert flow.log_abs_det_jacobian(x, flow(x)) == 0


def test_a_pair_mixes_every_element_with_later_and_earlier_ones():
    torch.manual_seed(0)
    found = in_order(jacobian(shift_pair(SHAPE).double(), torch.randn(1, *SHAPE).double()), SHAPE)
    assert (found.triu(1) != 0).any()
    assert (found.tril(-1) != 0).any()


def test_a_pair_is_inverted():
    torch.manual_seed(0)
    flow, x = shift_pair(SHAPE).double(), torch.randn(4, *SHAPE).double()
    with torch.no_grad():
        torch.testing.assert_close(flow.inv(flow(x).clone()), x)
