"""The sizes of a VAE."""

from dataclasses import dataclass, field
from typing import Any

from zoo.options.likelihood import LikelihoodOptions
from zoo.settings import require


@dataclass(frozen=True)
class VAEOptions:
    """A convolutional VAE with one latent vector.

    Attributes:
        latent: size of z.
        channels: of every block of both networks.
        strides: of the blocks, from the image up.
        posterior_layers: of the inverse autoregressive flow in the guide; 0 for a normal posterior.
        context: size of what the encoder tells these layers.
        spatial: whether z is a map of the resolution of the encoder's features instead of a vector.
        prior_layers: of the masked autoregressive flow in the prior; 0 for a standard normal.
        prior_pixelcnn: layers of a Gated PixelCNN as the prior of a map; 0 for another prior.
        flow_hidden: widths of the networks of both flows.
        likelihood_options: see `LikelihoodOptions`.
    """

    latent: int = 16
    channels: int = 32
    strides: tuple[int, ...] = (2, 1, 2)
    posterior_layers: int = 0
    context: int = 32
    spatial: bool = False
    prior_layers: int = 0
    prior_pixelcnn: int = 0
    flow_hidden: tuple[int, ...] = (64, 64)
    likelihood_options: LikelihoodOptions = field(default_factory=LikelihoodOptions)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        require(self.latent >= 1, "latent >= 1", self.latent)
        require(self.channels >= 1, "channels >= 1", self.channels)
        require(min(self.strides, default=0) >= 1, "strides >= 1", self.strides)
        require(self.posterior_layers >= 0, "posterior_layers >= 0", self.posterior_layers)
        require(self.context >= 1, "context >= 1", self.context)
        require(self.prior_layers >= 0, "prior_layers >= 0", self.prior_layers)
        require(self.prior_pixelcnn >= 0, "prior_pixelcnn >= 0", self.prior_pixelcnn)
        flows = self.prior_layers or self.posterior_layers
        require(not (self.spatial and flows), "flows on vectors alone, spatial=false", self.spatial)
        require(self.spatial or not self.prior_pixelcnn, "spatial=true for a PixelCNN prior", self.spatial)
        require(min(self.flow_hidden, default=1) >= 1, "flow_hidden >= 1", self.flow_hidden)

    @property
    def takes(self) -> str:
        """The encoding of the images: the likelihood's."""
        return self.likelihood_options.takes

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        from zoo.models.vae import vae

        return vae(
            image_shape,
            latent=self._shape(image_shape),
            channels=self.channels,
            strides=self.strides,
            likelihood=self.likelihood_options.build(),
            **self._prior(image_shape),
            **self._posterior(),
        )

    def _shape(self, image_shape: tuple[int, int, int]) -> Any:
        from zoo.nn.convolutional import feature_shapes

        if not self.spatial:
            return self.latent
        return (self.latent, *feature_shapes(image_shape, 1, self.strides)[-1][1:])

    def _prior(self, image_shape: tuple[int, int, int]) -> dict[str, Any]:
        from flows import builders, transformed
        from zoo.nn.causal import GatedPixelCNN
        from zoo.parts.families import Normals
        from zoo.parts.likelihoods import AutoregressiveLikelihood
        from zoo.parts.priors import StandardNormal

        if self.prior_pixelcnn:
            family = Normals(self.latent)
            shape, layers = self._shape(image_shape), self.prior_pixelcnn
            network = GatedPixelCNN(shape, family.size, channels=self.channels, layers=layers, kernel=3)
            return {"prior": AutoregressiveLikelihood(network, family)}
        if not self.prior_layers:
            return {}
        flow = builders.maf(self.latent, layers=self.prior_layers, hidden=self.flow_hidden)
        return {"prior": transformed(StandardNormal(self.latent), flow)}

    def _posterior(self) -> dict[str, Any]:
        from functools import partial

        from flows import builders
        from zoo.parts.posteriors import normal_with_flow

        if not self.posterior_layers:
            return {}
        flow = builders.iaf(
            self.latent, layers=self.posterior_layers, hidden=self.flow_hidden, context=self.context
        )
        return {"posterior": partial(normal_with_flow, flow=flow)}
