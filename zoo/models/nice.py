"""NICE (Dinh, Krueger & Bengio 2014), arXiv:1410.8516.

p(x, y) = P(x | y) p(y),   log p(y) = sum_d log p_d(h_d) + log |det dh/dy|,   h = S f_L(... f_1(y))
q(y | x)  uniform in the bin of x

p_d is logistic, f_i are additive couplings, which keep volumes, and S is a diagonal scaling.
"""

from typing import Any

from flows import builders
from zoo.infer.guides import Dequantization
from zoo.models.flow_density import FlowDensity, Levels, LogitAlpha, pixel_density
from zoo.nn.layers import Shape
from zoo.parts.priors import StandardLogistic
from zoo.settings import passes_on


class NICE(FlowDensity):
    """Additive couplings of a logistic base; the paper has no logit before them.

    Args:
        image_shape: (C, H, W).
        levels: grey levels of the images.
        alpha: of the logit, `flows.Logit`.
        options: see `flows.builders.nice`.

    Raises:
        ValueError: if there is no such flow of images of that shape.
    """

    @passes_on(builders.nice, supplied=("context",))
    def __init__(
        self, image_shape: Shape, *, levels: Levels = 256, alpha: LogitAlpha = 0.05, **options: Any
    ) -> None:
        flow = builders.nice(image_shape, **options)
        super().__init__(pixel_density(flow, alpha=alpha, prior=StandardLogistic), levels=levels)


@passes_on(NICE)
def nice(image_shape: Shape, **options: Any) -> tuple[NICE, Dequantization]:
    """Model and guide; see `NICE`."""
    model = NICE(image_shape, **options)
    return model, Dequantization(model.levels)
