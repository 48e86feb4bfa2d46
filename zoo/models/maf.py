"""Masked autoregressive flow (Papamakarios, Pavlakou & Murray 2017), arXiv:1705.07057.

p(x, y) = P(x | y) p(y),   log p(y) = log N(f(y); 0, I) + log |det df/dy|
q(y | x)  uniform in the bin of x

Each layer of f shifts and scales a pixel by functions of those before it; sampling takes them one by one.
"""

import math
from typing import Any

from flows import Composed, Reshape, builders
from zoo.infer.guides import Dequantization
from zoo.models.flow_density import FlowDensity, Levels, LogitAlpha, pixel_density
from zoo.nn.layers import Shape
from zoo.settings import passes_on


class MAF(FlowDensity):
    """Masked autoregressive layers over the pixels as one vector, as in the paper.

    Args:
        image_shape: (C, H, W).
        levels: grey levels of the images.
        alpha: of the logit, `flows.Logit`.
        options: see `flows.builders.maf`.

    Raises:
        ValueError: if there is no such flow of images of that shape.
    """

    @passes_on(builders.maf, supplied=("context",))
    def __init__(
        self, image_shape: Shape, *, levels: Levels = 256, alpha: LogitAlpha = 0.05, **options: Any
    ) -> None:
        size = math.prod(image_shape)
        flow = Composed([builders.maf(size, **options), Reshape(size, image_shape)])
        super().__init__(pixel_density(flow, alpha=alpha), levels=levels)


@passes_on(MAF)
def maf(image_shape: Shape, **options: Any) -> tuple[MAF, Dequantization]:
    """Model and guide; see `MAF`."""
    model = MAF(image_shape, **options)
    return model, Dequantization(model.levels)
