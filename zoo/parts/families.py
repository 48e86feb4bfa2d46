"""Families: features of every pixel to the distribution of an image (C, H, W), pixels independent given them.

``size`` is the number of features per pixel that a family takes, ``groups`` how many of the pixel's channels
are drawn one after the other, and ``takes`` the encoding of the images (`zoo.data.encodings`). Called with
features (B, size, H, W) of any resolution, one pixel included, it returns a distribution of batch shape (B,).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from einops import rearrange
from torch import Tensor, nn

from distributions import (
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    FusedBernoulli,
    GridCategorical,
)
from zoo.nn.scales import softplus_scale


@dataclass(frozen=True)
class _IndependentChannels:
    """Base class of families whose sub-pixels are independent of each other, given the features.

    Attributes:
        channels: C.
    """

    channels: int

    @property
    def parameters(self) -> int:
        """Features per sub-pixel: a logit."""
        return 1

    @property
    def size(self) -> int:
        """Features per pixel."""
        return self.channels * self.parameters

    @property
    def groups(self) -> int:
        """Every channel on its own."""
        return self.channels


@dataclass(frozen=True)
class Bernoullis(_IndependentChannels):
    """Binary sub-pixels, {0, 1}."""

    takes: ClassVar[str] = "binary"

    def __call__(self, features: Tensor) -> Any:
        """prod_i Bernoulli(x_i; sigmoid(features_i))."""
        return bernoulli(features)


@dataclass(frozen=True)
class Categoricals(_IndependentChannels):
    """Sub-pixels on the grid 2k/(K-1) - 1 with free masses (PixelCNN's softmax, arXiv:1601.06759).

    Attributes:
        levels: K, grey levels of a sub-pixel.
    """

    levels: int = 256
    takes: ClassVar[str] = "grid"

    @property
    def parameters(self) -> int:
        """K logits, those of the first channel first."""
        return self.levels

    def __call__(self, features: Tensor) -> Any:
        """prod_i softmax(features_i)."""
        logits = rearrange(features, "b (c k) h w -> b c h w k", k=self.levels)
        return GridCategorical(logits).to_event(3)


@dataclass(frozen=True)
class LogisticMixtures:
    """Pixels on the grid 2k/(levels-1) - 1: PixelCNN++'s mixtures (arXiv:1701.05517).

    Each pixel has K logits and, for each component, C means, C log scales and C(C-1)/2 coefficients by which
    the means follow the channels before.

    Attributes:
        channels: C.
        components: K, their number.
        levels: grey levels of a sub-pixel.
        min_log_scale: floor of the log scales; PixelCNN++ has -7.
    """

    channels: int
    components: int = 10
    levels: int = 256
    min_log_scale: float = -7.0
    takes: ClassVar[str] = "grid"
    groups: ClassVar[int] = 1  # the mixture couples the channels

    @property
    def size(self) -> int:
        """K (1 + 2C + C(C-1)/2) features per pixel: 10 K for RGB."""
        return self.components * sum(self._parts)

    @property
    def _parts(self) -> list[int]:
        c = self.channels
        return [1, c, c, c * (c - 1) // 2]

    def __call__(self, features: Tensor) -> DiscretizedLogisticMixture:
        """The mixture at every pixel."""
        parameters = rearrange(features, "b (k p) h w -> b k p h w", k=self.components)
        logits, loc, log_scale, coefficients = parameters.split(self._parts, dim=2)
        return DiscretizedLogisticMixture(
            logits.squeeze(2),
            loc,
            log_scale,
            torch.tanh(coefficients),
            levels=self.levels,
            min_log_scale=self.min_log_scale,
        )


@dataclass(frozen=True)
class Normals:
    """Real values, such as those of latent maps.

    Attributes:
        channels: C.
    """

    channels: int
    takes: ClassVar[str] = "real"
    groups: ClassVar[int] = 1

    @property
    def size(self) -> int:
        """A mean and a raw scale for each value."""
        return 2 * self.channels

    def __call__(self, features: Tensor) -> Any:
        """prod_i N(loc_i, softplus(raw_i)^2)."""
        loc, raw = features.chunk(2, dim=1)
        return dist.Normal(loc, softplus_scale(raw)).to_event(3)


@dataclass(frozen=True)
class ContinuousBernoullis(_IndependentChannels):
    """Sub-pixels in [0, 1]: lambda^x (1 - lambda)^(1 - x), normalised (Loaiza-Ganem & Cunningham 2019).

    arXiv:1907.06845: a Bernoulli's formula is no density of grey values; with the normalising constant it is.
    """

    takes: ClassVar[str] = "unit"

    def __call__(self, features: Tensor) -> Any:
        """prod_i ContinuousBernoulli(x_i; sigmoid(features_i))."""
        return ContinuousBernoulli(logits=features).to_event(3)


@dataclass(frozen=True)
class Gaussians(_IndependentChannels):
    """Sub-pixels in [0, 1] as real values: N(loc_i, scale_i^2).

    A density of continuous values. Of images of few grey levels it is bounded only by the smallest scale, so
    its nats cannot be compared with those of masses.

    Attributes:
        scale: of all sub-pixels; None for one each, from the network.
    """

    scale: float | None = None
    takes: ClassVar[str] = "unit"

    @property
    def parameters(self) -> int:
        """A mean, and a raw scale where it is learned."""
        return 2 if self.scale is None else 1

    def __call__(self, features: Tensor) -> Any:
        """prod_i N(x_i; loc_i, scale_i^2)."""
        if self.scale is not None:
            return dist.Normal(features, self.scale).to_event(3)
        loc, raw = rearrange(features, "b (c p) h w -> p b c h w", p=2)
        return dist.Normal(loc, softplus_scale(raw)).to_event(3)


@dataclass(frozen=True)
class Logistics(_IndependentChannels):
    """Sub-pixels on the grid 2k/(levels-1) - 1: one discretised logistic each, with a scale of its own.

    Attributes:
        levels: grey levels of a sub-pixel.
        min_log_scale: floor of the log scales.
    """

    levels: int = 256
    min_log_scale: float = -7.0
    takes: ClassVar[str] = "grid"

    @property
    def parameters(self) -> int:
        """A mean and a log scale."""
        return 2

    def __call__(self, features: Tensor) -> Any:
        """prod_i DiscretizedLogistic(x_i; loc_i, exp(log_scale_i))."""
        loc, log_scale = rearrange(features, "b (c p) h w -> p b c h w", p=2)
        return DiscretizedLogistic(loc, log_scale.clamp(min=self.min_log_scale), self.levels).to_event(3)


def bernoulli(logits: Tensor) -> Any:
    """prod_i Bernoulli(x_i; sigmoid(logits_i)), logits (B, C, H, W)."""
    return FusedBernoulli(logits=logits).to_event(3)


class SharedScaleLogistics(nn.Module):
    """Sub-pixels on the grid 2k/(levels-1) - 1: discretised logistics of one learned scale (IAF-VAE).

    The published code (arXiv:1606.04934) leaves the mass beyond the grid's ends out; here it is that of the
    first and the last level.

    Args:
        channels: C.
        levels: grey levels of a sub-pixel.
    """

    takes: ClassVar[str] = "grid"

    def __init__(self, channels: int, levels: int = 256) -> None:
        super().__init__()
        self.size = self.groups = channels
        self.levels = levels
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Any:
        """prod_i DiscretizedLogistic(features_i, exp(log_scale))."""
        return DiscretizedLogistic(features, self.log_scale, self.levels).to_event(3)
