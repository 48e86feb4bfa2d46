"""Auto-encoding variational Bayes (Kingma & Welling 2013), arXiv:1312.6114.

p(x, z)  = p(x | z) p(z),                  p(z) = N(z; 0, I)
q(z | x) = N(z; mu(x), diag(sigma(x)^2))

Other priors, posteriors and likelihoods take their places by options. `pixelvae` has an autoregressive
likelihood, p(x | z) = prod_i p(x_i | x_<i, z) (Gulrajani et al. 2016, arXiv:1611.05013): with few layers it
sees little of the image and leaves the rest to z.
"""

from typing import Any

import pyro
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.choices import Encoder, Family, Likelihood, Network, Posterior, Prior
from zoo.infer.guides import AmortizedGuide
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.causal import GatedPixelCNN
from zoo.nn.convolutional import ConvDecoder, ConvEncoder, block_shapes
from zoo.nn.dense import dense
from zoo.nn.layers import Shape
from zoo.parts.families import Bernoullis
from zoo.parts.heads import NormalHead
from zoo.parts.likelihoods import AutoregressiveLikelihood, BernoulliLikelihood, causal_network
from zoo.parts.priors import StandardNormal
from zoo.settings import construct


class VAE(Program):
    """p(x, z) = p(x | z) p(z); sites ``z`` and ``x``.

    Args:
        prior: called with nothing, returns p(z), batch shape ().
        likelihood: called with z (B, ...), returns p(x | z), batch shape (B,), event shape (C, H, W).
    """

    def __init__(self, prior: nn.Module, likelihood: nn.Module) -> None:
        super().__init__()
        self.prior, self.likelihood = prior, likelihood

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        with batch_plate():
            z = latent("z", independent_copies(self.prior(), batch_size(x, n)), layer=1)
            return pyro.sample("x", self.likelihood(z), obs=x)


def vae(
    image_shape: Shape,
    *,
    latent: int = 16,
    channels: int = 32,
    strides: tuple[int, ...] = (2, 1, 2),
    spatial: bool = False,
    prior: Prior = StandardNormal,
    posterior: Posterior = NormalHead,
    likelihood: Likelihood = BernoulliLikelihood,
) -> tuple[VAE, AmortizedGuide]:
    """A convolutional VAE: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: size of z: of the vector, or channels of the map.
        channels: of every block of both networks.
        strides: of the blocks, from the image up.
        spatial: whether z is a map of the resolution of the encoder's features instead of a vector.
        prior: makes p(z) from the shape of z.
        posterior: makes q(z | x) from the encoder and the shape of z.
        likelihood: makes p(x | z) from the decoder and the image's shape.
    """
    z = (latent, *block_shapes(image_shape, 1, strides)[-1][1:]) if spatial else latent
    decoder = ConvDecoder(z, image_shape, channels=channels, strides=strides)
    encoder = ConvEncoder(image_shape, channels=channels, strides=strides)
    p_x = construct(likelihood, decoder, image_shape)
    q_z = construct(posterior, encoder, z)
    p_z = construct(prior, z, posterior=q_z, image_shape=image_shape, takes=p_x.takes)
    return VAE(p_z, p_x), AmortizedGuide(q_z)


def pixelvae(
    image_shape: Shape,
    *,
    latent: int = 16,
    decoder_channels: int = 32,
    strides: tuple[int, ...] = (2, 1, 2),
    prior: Prior = StandardNormal,
    network: Network = GatedPixelCNN,
    likelihood: Family = Bernoullis,
) -> tuple[VAE, AmortizedGuide]:
    """A PixelVAE: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: size of z.
        decoder_channels: of the blocks of encoder and decoder.
        strides: of these blocks, from the image up.
        prior: makes p(z) from the size of z.
        network: causal, over the decoder's features.
        likelihood: family of the pixels.
    """

    def autoregressive(decoder: Any, image_shape: Shape) -> AutoregressiveLikelihood:
        family = construct(likelihood, image_shape[0])
        causal = causal_network(network, image_shape, family, context=decoder.out_shape)
        return AutoregressiveLikelihood(causal, family, net=decoder)

    sizes: Any = {"latent": latent, "channels": decoder_channels, "strides": strides}
    return vae(image_shape, prior=prior, likelihood=autoregressive, **sizes)


def m1(
    image_shape: Shape,
    *,
    latent: int = 32,
    hidden: tuple[int, ...] = (256, 256),
    encoder: Encoder = dense,
    likelihood: Likelihood = BernoulliLikelihood,
) -> tuple[VAE, AmortizedGuide]:
    """M1 (arXiv:1406.5298), a VAE of dense networks to put under M2: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: size of z.
        hidden: widths of every network.
        encoder: makes the network of x, to a vector of features, from the image's shape and `hidden`.
        likelihood: makes p(x | z) from the decoder and the image's shape.
    """
    decoder = construct(likelihood, dense((latent,), hidden), image_shape)
    features = construct(encoder, image_shape, hidden)
    return VAE(StandardNormal(latent), decoder), AmortizedGuide(NormalHead(features, latent))
