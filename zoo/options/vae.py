"""The sizes of a VAE."""

from dataclasses import dataclass, field
from typing import Any

from zoo.options.likelihood import LikelihoodOptions
from zoo.options.typed import require


@dataclass(frozen=True)
class VAEOptions:
    """A convolutional VAE with one latent vector.

    Attributes:
        latent: size of z.
        channels: of every block of both networks.
        strides: of the blocks, from the image up.
        likelihood_options: see `LikelihoodOptions`.
    """

    latent: int = 16
    channels: int = 32
    strides: tuple[int, ...] = (2, 1, 2)
    likelihood_options: LikelihoodOptions = field(default_factory=LikelihoodOptions)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        require(self.latent >= 1, "latent >= 1", self.latent)
        require(self.channels >= 1, "channels >= 1", self.channels)
        require(min(self.strides, default=0) >= 1, "strides >= 1", self.strides)

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        from zoo.models.vae import vae

        return vae(
            image_shape,
            latent=self.latent,
            channels=self.channels,
            strides=self.strides,
            likelihood=self.likelihood_options.build(),
        )
