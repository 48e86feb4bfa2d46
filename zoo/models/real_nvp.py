"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2016), arXiv:1605.08803.

p(x, y) = P(x | y) p(y),   log p(y) = log N(f(y); 0, I) + log |det df/dy|
q(y | x)  uniform in the bin of x

f is a logit, then affine couplings of checkerboards and of channels, over several scales.
"""

from typing import Any

from flows import builders
from zoo.infer.guides import Dequantization
from zoo.models.flow_density import FlowDensity, Levels, LogitAlpha, pixel_density
from zoo.nn.layers import Shape
from zoo.settings import passes_on


class RealNVP(FlowDensity):
    """Affine couplings over several scales.

    Args:
        image_shape: (C, H, W).
        levels: grey levels of the images.
        alpha: of the logit, `flows.Logit`.
        options: see `flows.builders.real_nvp`.

    Raises:
        ValueError: if there is no such flow of images of that shape.
    """

    @passes_on(builders.real_nvp, supplied=("context",))
    def __init__(
        self, image_shape: Shape, *, levels: Levels = 256, alpha: LogitAlpha = 0.05, **options: Any
    ) -> None:
        flow = builders.real_nvp(image_shape, **options)
        super().__init__(pixel_density(flow, alpha=alpha), levels=levels)


@passes_on(RealNVP)
def real_nvp(image_shape: Shape, **options: Any) -> tuple[RealNVP, Dequantization]:
    """Model and guide; see `RealNVP`."""
    model = RealNVP(image_shape, **options)
    return model, Dequantization(model.levels)
