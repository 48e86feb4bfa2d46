"""Auto-encoding variational Bayes (Kingma & Welling 2013), arXiv:1312.6114.

p(x, z) = p(x | z) p(z)
q(z | x)
"""

from collections.abc import Callable, Sequence

import pyro
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.infer.guides import AmortizedGuide
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.convolutional import ConvDecoder, ConvEncoder
from zoo.nn.layers import Shape
from zoo.parts.likelihoods import BernoulliLikelihood
from zoo.parts.posteriors import NormalHead
from zoo.parts.priors import StandardNormal


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
            z = latent("z", independent_copies(self.prior(), batch_size(x, n)))
            return pyro.sample("x", self.likelihood(z), obs=x)


def vae(
    image_shape: Shape,
    *,
    latent: int | Shape,
    channels: int,
    strides: Sequence[int],
    likelihood: Callable[..., nn.Module] = BernoulliLikelihood,
    prior: nn.Module | None = None,
    posterior: Callable[..., nn.Module] = NormalHead,
) -> tuple[VAE, AmortizedGuide]:
    """A convolutional VAE: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: D, the size of z, or (D, H', W'), a map of the resolution of the encoder's features.
        channels: of every block of both networks.
        strides: of the blocks, from the image up.
        likelihood: made of the decoder and the image's shape.
        prior: called with nothing, returns p(z); N(0, I) by default.
        posterior: made of the encoder and `latent`, called with x, returns q(z | x).
    """
    decoder = ConvDecoder(latent, image_shape, channels=channels, strides=strides)
    encoder = ConvEncoder(image_shape, channels=channels, strides=strides)
    model = VAE(prior or StandardNormal(latent), likelihood(decoder, image_shape))
    return model, AmortizedGuide(posterior(encoder, latent))
