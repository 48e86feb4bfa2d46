"""Glow (Kingma & Dhariwal 2018), arXiv:1807.03039.

p(x, y) = P(x | y) p(y),   log p(y) = log N(f(y); 0, I) + log |det df/dy|
q(y | x)  uniform in the bin of x

A step of f is an activation normalisation, an invertible 1x1 convolution and an affine coupling.
"""

from typing import Any

from flows import builders
from zoo.infer.guides import Dequantization
from zoo.models.flow_density import FlowDensity, Levels, LogitAlpha, pixel_density
from zoo.nn.layers import Shape
from zoo.settings import passes_on


class Glow(FlowDensity):
    """Normalised, mixed and coupled channels over several scales; the paper has no logit before them.

    Args:
        image_shape: (C, H, W).
        levels: grey levels of the images.
        alpha: of the logit, `flows.Logit`.
        options: see `flows.builders.glow`.

    Raises:
        ValueError: if there is no such flow of images of that shape.
    """

    @passes_on(builders.glow, supplied=("context",))
    def __init__(
        self, image_shape: Shape, *, levels: Levels = 256, alpha: LogitAlpha = 0.05, **options: Any
    ) -> None:
        flow = builders.glow(image_shape, **options)
        super().__init__(pixel_density(flow, alpha=alpha), levels=levels)


@passes_on(Glow)
def glow(image_shape: Shape, **options: Any) -> tuple[Glow, Dequantization]:
    """Model and guide; see `Glow`."""
    model = Glow(image_shape, **options)
    return model, Dequantization(model.levels)
