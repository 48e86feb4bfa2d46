"""The semi-amortised VAE (Kim, Wiseman, Miller, Sontag, Rush 2018), arXiv:1802.02550.

p(x, z)  = p(z) prod_i p(x_i | x_<i, z)
q(z | x) = q(z; lambda_T),   lambda_0 = encoder(x),   lambda_{t+1} = lambda_t + lr v_t
                             v_t = momentum v_{t-1} + d ELBO(x; lambda_t) / d lambda

A PixelVAE (arXiv:1611.05013) whose guide refines the encoder's parameters (`zoo.infer.semi_amortised`).
"""

from zoo.choices import Family, Network
from zoo.infer.semi_amortised import SemiAmortizedGuide
from zoo.models.vae import VAE, pixelvae
from zoo.nn.causal import GatedPixelCNN
from zoo.nn.layers import Shape
from zoo.parts.families import Bernoullis


def sa_vae(
    image_shape: Shape,
    *,
    latent: int = 32,
    decoder_channels: int = 32,
    strides: tuple[int, ...] = (2, 1, 2),
    refinements: int = 20,
    refinement_rate: float = 0.01,
    momentum: float = 0.5,
    network: Network = GatedPixelCNN,
    likelihood: Family = Bernoullis,
) -> tuple[VAE, SemiAmortizedGuide]:
    """A PixelVAE with a semi-amortised guide: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: size of z.
        decoder_channels: of the blocks of encoder and decoder.
        strides: of these blocks, from the image up.
        refinements: T, gradient steps from the encoder's parameters.
        refinement_rate: lr, of the refinements.
        momentum: of the refinements.
        network: causal, over the decoder's features.
        likelihood: family of the pixels.
    """
    model, guide = pixelvae(
        image_shape,
        latent=latent,
        decoder_channels=decoder_channels,
        strides=strides,
        network=network,
        likelihood=likelihood,
    )
    refining = SemiAmortizedGuide(
        guide.head, model=model, steps=refinements, learning_rate=refinement_rate, momentum=momentum
    )
    return model, refining
