"""Laws of squeezing and reshaping."""

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from flows import Reshape, Squeeze


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_squeeze_is_pixel_unshuffle(factor):
    x = torch.randn(4, 2, 6, 12)
    y, log_det = Squeeze((2, 6, 12), factor=factor).call_and_log_det(x)
    assert torch.equal(y, F.pixel_unshuffle(x, factor))
    assert torch.equal(log_det, torch.zeros(4))


def test_inverse_is_the_inverse_pattern():
    y = torch.randn(3, 8, 2, 3)
    x, log_det = Squeeze((2, 4, 6)).inverse_and_log_det(y)
    assert torch.equal(x, rearrange(y, "n (c a b) h w -> n c (h a) (w b)", a=2, b=2))
    assert torch.equal(log_det, torch.zeros(3))


@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 4, 3)])
def test_odd_sides_are_named(shape):
    with pytest.raises(ValueError, match=f"{shape[1]} x {shape[2]}"):
        Squeeze(shape)


def test_vectors_cannot_be_squeezed():
    with pytest.raises(ValueError, match=r"\(C, H, W\); got \(4,\)"):
        Squeeze((4,))


def test_reshape_keeps_the_number_of_elements():
    with pytest.raises(ValueError, match=r"6 elements, to \(5,\), 5 elements"):
        Reshape((2, 3), 5)
