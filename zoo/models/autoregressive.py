"""Autoregressive densities of images: PixelCNN and its kin.

p(x) = prod_i p(x_i | x_<i)                                      i over pixels, or sub-pixels, in raster order

There is no latent variable: the guide is empty, the bound is log p(x) itself.
"""

from typing import Any

import pyro
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.infer.guides import Guide
from zoo.infer.programs import Program, batch_plate, batch_size
from zoo.parts.likelihoods import AutoregressiveLikelihood


class AutoregressiveDensity(Program):
    """p(x); site ``x``.

    Args:
        density: called with nothing, returns p(x), batch shape ().
    """

    def __init__(self, density: nn.Module) -> None:
        super().__init__()
        self.density = density

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        with batch_plate():
            return pyro.sample("x", independent_copies(self.density(), batch_size(x, n)), obs=x)


class NoLatents(Guide):
    """The guide of a model without latent variables."""

    def forward(self, x: Tensor) -> None:
        """There is nothing to sample."""


def autoregressive(network: Any, family: Any) -> tuple[AutoregressiveDensity, NoLatents]:
    """Model and guide.

    Args:
        network: a causal network (`zoo.nn.causal`).
        family: of the pixels (`zoo.parts.families`).
    """
    return AutoregressiveDensity(AutoregressiveLikelihood(network, family)), NoLatents()
