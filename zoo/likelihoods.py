"""Likelihoods: modules that, called with features h, return p(x | h) over images of event shape (C, H, W)."""

from typing import Any

import pyro.distributions as dist
import torch
from einops import rearrange
from torch import nn

from distributions import DiscretizedLogisticMixture
from zoo.nn.layers import Shape, project


class BernoulliLikelihood(nn.Module):
    """p(x | h) = prod_i Bernoulli(x_i; sigmoid(logits_i)), x binary, {0, 1}.

    Args:
        net: features h to logits (B, C, H, W); or to other features, where `image_shape` is given.
        image_shape: (C, H, W), to which the features of `net`, of shape ``net.out_shape``, are projected.
    """

    def __init__(self, net: Any, image_shape: Shape | None = None) -> None:
        super().__init__()
        self.net = net
        self.project = project(net.out_shape, image_shape) if image_shape else nn.Identity()

    def forward(self, h: Any) -> Any:
        """p(x | h), batch shape (B,)."""
        return dist.Bernoulli(logits=self.project(self.net(h))).to_event(3)


class LogisticMixtureLikelihood(nn.Module):
    """p(x | h): a mixture of discretized logistics, x on the grid 2k/(levels-1) - 1.

    PixelCNN++'s likelihood (Salimans et al. 2017, arXiv:1701.05517): each pixel has K mixture logits and, for
    each component, C means, C log scales and C(C-1)/2 coefficients by which the means follow the channels
    before.

    Args:
        net: features h to features of shape ``net.out_shape``, of the image's resolution.
        image_shape: (C, H, W).
        components: K.
        levels: grey levels of a sub-pixel.
        min_log_scale: floor of the log scales; PixelCNN++ has -7.
    """

    def __init__(
        self,
        net: Any,
        image_shape: Shape,
        *,
        components: int = 10,
        levels: int = 256,
        min_log_scale: float = -7.0,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.net, self.levels, self.min_log_scale = net, levels, min_log_scale
        self.sizes = [1, channels, channels, channels * (channels - 1) // 2]
        self.project = project(net.out_shape, (components * sum(self.sizes), height, width))

    def forward(self, h: Any) -> DiscretizedLogisticMixture:
        """p(x | h), batch shape (B,)."""
        parameters = rearrange(self.project(self.net(h)), "b (k p) h w -> b k p h w", p=sum(self.sizes))
        logits, loc, log_scale, coefficients = parameters.split(self.sizes, dim=2)
        return DiscretizedLogisticMixture(
            logits.squeeze(2),
            loc,
            log_scale,
            torch.tanh(coefficients),
            levels=self.levels,
            min_log_scale=self.min_log_scale,
        )
