"""Laws of the invertible 1x1 convolution: it is the dense matrix that it stands for."""

import pytest
import torch
import torch.nn.functional as F
from pyro.distributions.transforms import GeneralizedChannelPermute

from flows import InvertibleConv


def trained(shape):
    flow = InvertibleConv(shape).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return flow


def test_is_a_convolution_with_the_determinant_of_its_matrix():
    flow, x = trained((6, 3, 2)), torch.randn(4, 6, 3, 2, dtype=torch.float64)
    y, log_det = flow.call_and_log_det(x)
    weight = flow.weight()
    torch.testing.assert_close(y, F.conv2d(x, weight[..., None, None]))
    torch.testing.assert_close(log_det, 6 * torch.linalg.slogdet(weight).logabsdet.expand(4))


def test_is_a_linear_map_of_vectors():
    flow, x = trained(6), torch.randn(4, 6, dtype=torch.float64)
    y, log_det = flow.call_and_log_det(x)
    torch.testing.assert_close(y, x @ flow.weight().T)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(flow.weight()).logabsdet.expand(4))


def test_inverse_weight_is_the_inverse():
    flow = trained((48, 1, 1))
    torch.testing.assert_close(flow.inverse_weight(), torch.linalg.inv(flow.weight()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("channels", [2, 3, 48])
def test_fresh_is_orthogonal(channels):
    weight = InvertibleConv(channels).double().weight()
    identity = torch.eye(channels, dtype=torch.float64)
    torch.testing.assert_close(weight @ weight.T, identity, rtol=0, atol=1e-5)
    assert not torch.allclose(weight, InvertibleConv(channels).double().weight())


def test_equals_pyro_with_its_weights():
    torch.manual_seed(1)
    theirs, ours, x = (
        GeneralizedChannelPermute(channels=5),
        InvertibleConv((5, 3, 2)),
        torch.randn(4, 5, 3, 2),
    )
    lu = theirs.LU.detach()
    signs = lu.diagonal().sign()
    with torch.no_grad():  # P L U = (P S) (S L S) (S U), S the signs of U's diagonal
        ours.rotation.copy_(theirs.permutation * signs)
        ours.rounding.zero_()
        ours.log_scale.copy_(lu.diagonal().abs().log())
        lower, upper = signs[:, None] * lu.tril(-1) * signs, signs[:, None] * lu.triu(1)
        ours.triangles.copy_((lower + upper) / ours.gain)
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-6)
        expected = theirs.log_abs_det_jacobian(x, theirs(x))
        torch.testing.assert_close(ours.call_and_log_det(x)[1], expected.expand(4), rtol=0, atol=1e-6)
        torch.testing.assert_close(ours.inv(x), theirs.inv(x), rtol=0, atol=1e-5)


def test_one_channel_has_nothing_to_mix():
    with pytest.raises(ValueError, match="at least 2 channels to mix; got 1"):
        InvertibleConv((1, 4, 4))
