"""The sizes of a PixelVAE."""

from dataclasses import dataclass
from typing import Any

from zoo.options.autoregressive import GatedPixelCNNOptions
from zoo.settings import require


@dataclass(frozen=True)
class PixelVAEOptions(GatedPixelCNNOptions):
    """A VAE whose likelihood is a Gated PixelCNN over the decoder's features (arXiv:1611.05013).

    Few layers see little of the image and leave the rest to z.

    Attributes:
        latent: size of z.
        strides: of the blocks of encoder and decoder, from the image up.
        decoder_channels: of these blocks.
    """

    layers: int = 3
    kernel: int = 3
    latent: int = 16
    strides: tuple[int, ...] = (2, 1, 2)
    decoder_channels: int = 32

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        super().__post_init__()
        require(self.latent >= 1, "latent >= 1", self.latent)
        require(min(self.strides, default=0) >= 1, "strides >= 1", self.strides)
        require(self.decoder_channels >= 1, "decoder_channels >= 1", self.decoder_channels)

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        from zoo.models.vae import vae

        return vae(
            image_shape,
            latent=self.latent,
            channels=self.decoder_channels,
            strides=self.strides,
            likelihood=self._likelihood,
        )

    def _likelihood(self, decoder: Any, image_shape: tuple[int, int, int]) -> Any:
        from zoo.parts.likelihoods import AutoregressiveLikelihood

        family = self.likelihood_options.family(image_shape[0])
        network = self.network(image_shape, family.size, context=decoder.out_shape)
        return AutoregressiveLikelihood(network, family, net=decoder)
