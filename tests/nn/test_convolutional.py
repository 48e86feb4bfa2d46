"""Encoder and decoder of the VAE."""

import pytest
import torch

from tests.catalogue import SHAPES
from zoo import ConvDecoder, ConvEncoder

STRIDES = [(1,), (2,), (2, 1, 2), (3, 2), (2, 2, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("strides", STRIDES, ids=str)
def test_decoder_mirrors_the_encoder(shape, strides):
    encoder = ConvEncoder(shape, channels=3, strides=strides)
    decoder = ConvDecoder(4, shape, channels=3, strides=strides)
    features = encoder(torch.randn(2, *shape))
    assert features.shape == (2, *encoder.out_shape)
    assert decoder(torch.randn(2, 4)).shape == (2, *decoder.out_shape) == (2, 3, *shape[1:])
    assert decoder.dense.out_shape == encoder.out_shape


def test_every_parameter_matters():
    encoder, decoder = ConvEncoder((1, 8, 8), channels=3), ConvDecoder(4, (1, 8, 8), channels=3)
    x, z = torch.randn(2, 1, 8, 8), torch.randn(2, 4)
    (encoder(x).square().sum() + decoder(z).square().sum()).backward()
    assert all((p.grad != 0).any() for p in [*encoder.parameters(), *decoder.parameters()])
