"""Autoregressive densities of images: PixelCNN and its kin.

p(x) = prod_i p(x_i | x_<i)                                      i over pixels, or sub-pixels, in raster order

There is no latent variable: the guide is empty, the bound is log p(x) itself.
"""

import pyro
from torch import Tensor

from distributions.copies import independent_copies
from zoo.choices import Family, Network
from zoo.infer.guides import Guide
from zoo.infer.programs import Program, batch_plate, batch_size
from zoo.nn.causal import PixelCNN
from zoo.nn.layers import Shape, require_images
from zoo.parts.families import Bernoullis
from zoo.parts.likelihoods import AutoregressiveLikelihood, causal_network
from zoo.settings import construct


class AutoregressiveDensity(Program):
    """p(x); site ``x``.

    Args:
        density: called with nothing, returns p(x), batch shape ().
    """

    def __init__(self, density: AutoregressiveLikelihood) -> None:
        super().__init__()
        self.density = density

    @property
    def likelihood(self) -> AutoregressiveLikelihood:
        """The density itself."""
        return self.density

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        if x is not None:
            require_images(x, self.density.network.event_shape)
        with batch_plate():
            return pyro.sample("x", independent_copies(self.density(), batch_size(x, n)), obs=x)


class NoLatents(Guide):
    """The guide of a model without latent variables."""

    def forward(self, x: Tensor) -> None:
        """There is nothing to sample."""


def autoregressive(
    image_shape: Shape, *, network: Network = PixelCNN, likelihood: Family = Bernoullis
) -> tuple[AutoregressiveDensity, NoLatents]:
    """Model and guide.

    The channels of a pixel are drawn one after the other, R, G, B, unless `likelihood` couples them.

    Args:
        image_shape: (C, H, W).
        network: makes the causal network from the image's shape and the features per pixel (`zoo.nn.causal`).
        likelihood: makes the family of the pixels from their number of channels (`zoo.parts.families`).
    """
    family = construct(likelihood, image_shape[0])
    causal = causal_network(network, image_shape, family)
    return AutoregressiveDensity(AutoregressiveLikelihood(causal, family)), NoLatents()
