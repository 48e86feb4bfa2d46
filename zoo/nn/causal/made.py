"""MADE as a density of images (Germain, Gregor, Murray & Larochelle 2015), arXiv:1502.03509.

    f(x)_i = masked MLP(x)_i, which depends on x_1 ... x_{i-1} only        i over sub-pixels in raster order

The paper's networks have one or two layers of 8,000 ReLUs; those with one mask, as here, have an
order of the pixels and a degree of every unit that are fixed (`flows.nn.made`).
"""

import math
from collections.abc import Sequence
from typing import Any, cast

from einops import rearrange
from torch import Tensor

from distributions.ancestral import fixed_point
from flows.nn import made
from zoo.nn.causal.network import CausalNetwork
from zoo.nn.causal.places import Place


class MADE(CausalNetwork):
    """See the module's docstring.

    Args:
        image_shape: (C, H, W).
        features: F, of what is returned at each pixel, as many for each channel.
        hidden: widths of the masked layers; below C H W - 1 units some sub-pixels share theirs.
        groups: C: channels are drawn one after the other.
        context: shape of one context, which the first layer adds.

    Raises:
        ValueError: for fewer groups than channels.
    """

    sampler = staticmethod(fixed_point)

    def __init__(
        self,
        image_shape: Sequence[int],
        features: int,
        *,
        hidden: tuple[int, ...] = (500, 500),
        groups: int = 1,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(image_shape, groups=groups, context=context, margin=0)
        channels, height, width = self.event_shape
        if groups != channels:
            raise ValueError(
                f"MADE draws the {channels} channels of a pixel one after the other; got {groups} groups: "
                "take a likelihood that does not couple them"
            )
        self.out_shape = (features, height, width)
        size = None if self.context_shape is None else (math.prod(self.context_shape),)
        self.network = made.MADE(channels * height * width, features // channels, hidden=hidden, context=size)
        cast(Any, self.network.layers[-1]).reset_parameters()  # not zero, as in a flow

    def features(self, x: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """Features of all pixels: there is no smaller part to evaluate."""
        channels, height, width = self.event_shape
        in_order = rearrange(x, "n c h w -> n (h w c)")
        flat = None if context is None else context.flatten(1)
        found = self.network(in_order, flat)
        return rearrange(found, "n (p h w c) -> n (c p) h w", c=channels, h=height, w=width)
