"""delta-VAE (Razavi, van den Oord, Poole, Vinyals 2019), arXiv:1901.03416.

p(x, z)  = p(z) prod_i p(x_i | x_<i, z),   z_t = a z_{t-1} + sqrt(1 - a^2) e_t,   e_t ~ N(0, I)
q(z | x) = prod_t q(z_t | x),              q(z_t | x) = N(z_t; mu_t(x), diag(sigma_t(x)^2))

No product of normals is the autoregressive prior, so the KL is at least delta nats whatever is learned
(`distributions.StationaryAR1.committed_rate`): however strong the decoder, z carries at least that much. As
in the paper q(z_t | x) sees only the part of the image that is still to come, here the rows from t H / T on:
the decoder knows the rows above already. With anti_causal=false it sees all of the image at every t.
"""

from zoo.choices import Family, Network
from zoo.infer.guides import AmortizedGuide
from zoo.models.vae import VAE
from zoo.nn.anti_causal import AntiCausalEncoder
from zoo.nn.causal import GatedPixelCNN
from zoo.nn.convolutional import ConvDecoder, ConvEncoder
from zoo.nn.layers import Shape
from zoo.parts.families import Bernoullis
from zoo.parts.heads import NormalHead, SequenceHead
from zoo.parts.likelihoods import AutoregressiveLikelihood, causal_network
from zoo.parts.priors import AR1Prior
from zoo.settings import construct


def delta_vae(
    image_shape: Shape,
    *,
    latent: int = 4,
    length: int = 8,
    anti_causal: bool = True,
    slowest: float = 0.97,
    fastest: float = 0.5,
    decoder_channels: int = 32,
    strides: tuple[int, ...] = (2, 1, 2),
    network: Network = GatedPixelCNN,
    likelihood: Family = Bernoullis,
) -> tuple[VAE, AmortizedGuide]:
    """A PixelVAE with a committed rate: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: D, dimensions of z_t.
        length: T, of the sequence z_1 ... z_T; at most H where the encoder is anti-causal.
        anti_causal: whether z_t sees only the rows from t H / T on.
        slowest: a of the first dimension, see `zoo.AR1Prior`.
        fastest: a of the last dimension.
        decoder_channels: of the blocks of encoder and decoder.
        strides: of these blocks, from the image up.
        network: causal, over the decoder's features.
        likelihood: family of the pixels.
    """
    z = (latent, length)
    decoder = ConvDecoder(z, image_shape, channels=decoder_channels, strides=strides)
    family = construct(likelihood, image_shape[0])
    causal = causal_network(network, image_shape, family, context=decoder.out_shape)
    prior = AR1Prior(z, slowest=slowest, fastest=fastest)
    model = VAE(prior, AutoregressiveLikelihood(causal, family, net=decoder))
    if anti_causal:
        rows = AntiCausalEncoder(image_shape, length, channels=decoder_channels)
        return model, AmortizedGuide(SequenceHead(rows, z))
    encoder = ConvEncoder(image_shape, channels=decoder_channels, strides=strides)
    return model, AmortizedGuide(NormalHead(encoder, z))
