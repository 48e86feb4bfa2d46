"""A density of images through a continuous variable: base of NICE, RealNVP, Glow, Flow++ and MAF.

p(x, y) = P(x | y) p(y),   P(x | y) = 1 if y lies in the bin of x, else 0
q(y | x)                                                         dequantisation

So log P(x) >= E_q[log p(y) - log q(y | x)], the bound that flows are trained with (arXiv:1511.01844), and
more samples come closer to log P(x) itself.
"""

from collections.abc import Callable
from typing import Annotated, Any

import pyro
from torch import Tensor, nn

from distributions.copies import independent_copies
from flows import Composed, Flow, Logit, Quantized, transformed
from zoo.conversion import Range
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.layers import require_images
from zoo.parts.priors import StandardNormal

Levels = Annotated[int, Range(2, 257)]
LogitAlpha = Annotated[float, Range(0, 0.5)]


class FlowDensity(Program):
    """p(x, y) = P(x | y) p(y); sites ``y`` and ``x``.

    Args:
        density: called with nothing, returns p(y), event shape (C, H, W), batch shape ().
        levels: of the images; x = k / (levels - 1), and [k / levels, (k + 1) / levels) is its bin.
    """

    takes = "unit"

    def __init__(self, density: nn.Module, *, levels: int) -> None:
        super().__init__()
        self.density, self.levels = density, levels

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        p_y = self.density()
        if x is not None:
            require_images(x, p_y.event_shape)
        with batch_plate():
            y = latent("y", independent_copies(p_y, batch_size(x, n)))
            return pyro.sample("x", Quantized(y, self.levels), obs=x)


def pixel_density(flow: Flow, *, alpha: float = 0.05, prior: Callable[..., Any] = StandardNormal) -> Any:
    """p(y) of noise, a flow, and the sigmoid that leads to pixels (RealNVP, arXiv:1605.08803, section 4.1).

    Args:
        flow: from noise of shape ``flow.in_shape`` to images of real numbers.
        alpha: of `flows.Logit`, which keeps the logits of black and white finite.
        prior: makes the noise's distribution from its shape.
    """
    pixels = Composed([flow, Logit(flow.event_shape, alpha=alpha)])
    return transformed(prior(flow.in_shape), pixels)
