"""Linear VAEs and probabilistic PCA (Lucas et al. 2019, arXiv:1911.02469; Tipping & Bishop 1999).

p(z) = N(z; 0, I)
p(x | z) = N(x; W z + mu, sigma^2 I)
q(z | x) = N(z; V (x - mu), D), D diagonal

Its evidence is known exactly, p(x) = N(x; mu, W W^T + sigma^2 I), to compare estimates of log p(x) with.
Where the columns of W are orthogonal the exact posterior is in the guide's family,

V = (W^T W + sigma^2 I)^-1 W^T, D = sigma^2 (W^T W + sigma^2 I)^-1,

and the ELBO's maxima are those of the evidence.
"""

import math

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from zoo.infer.guides import AmortizedGuide
from zoo.models.vae import VAE
from zoo.nn.layers import Shape, Shaped
from zoo.nn.scales import softplus_scale
from zoo.parts.likelihoods import LikelihoodModule
from zoo.parts.priors import StandardNormal


class LinearGaussian(LikelihoodModule):
    """p(x | z) = N(x; W z + mu, sigma^2 I), x in [0, 1] as a real value.

    Args:
        latent: D.
        image_shape: (C, H, W).
    """

    takes = "unit"

    def __init__(self, latent: int, image_shape: Shape) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.linear = nn.Linear(latent, math.prod(image_shape))
        self.raw_scale = nn.Parameter(torch.zeros(()))

    @property
    def scale(self) -> Tensor:
        """The standard deviation sigma, ()."""
        return softplus_scale(self.raw_scale)

    def forward(self, z: Tensor) -> dist.Distribution:
        """p(x | z), batch shape (B,), event shape (C, H, W)."""
        return dist.Normal(self.linear(z).unflatten(1, self.image_shape), self.scale).to_event(3)


class LinearHead(nn.Module):
    """q(z | x) = N(z; V (x - mu), D).

    Args:
        image_shape: (C, H, W).
        latent: D.
    """

    def __init__(self, image_shape: Shape, latent: int) -> None:
        super().__init__()
        linear = nn.Linear(math.prod(image_shape), latent)  # its bias is -V mu
        self.encode = Shaped((latent,), nn.Flatten(), linear)
        self.raw_scale = nn.Parameter(torch.zeros(latent))

    def distribution(self, loc: Tensor) -> dist.Distribution:
        """N(loc, D)."""
        return dist.Normal(loc, softplus_scale(self.raw_scale)).to_event(1)

    def forward(self, x: Tensor) -> dist.Distribution:
        """q(z | x), batch shape (B,), event shape (D,)."""
        return self.distribution(self.encode(x))


class LinearVAE(VAE):
    """p(x, z) = N(x; W z + mu, sigma^2 I) N(z; 0, I).

    Args:
        latent: D.
        image_shape: (C, H, W).
    """

    def __init__(self, latent: int, image_shape: Shape) -> None:
        super().__init__(StandardNormal(latent), LinearGaussian(latent, image_shape))

    def evidence(self, x: Tensor) -> Tensor:
        """The exact log p(x) = log N(x; mu, W W^T + sigma^2 I) of images (B, C, H, W): (B,), in nats."""
        linear, scale = self.likelihood.linear, self.likelihood.scale
        marginal = dist.LowRankMultivariateNormal(
            linear.bias, linear.weight, scale.square().expand_as(linear.bias)
        )
        log_prob: Tensor = marginal.log_prob(x.flatten(1))
        return log_prob


def linear_vae(image_shape: Shape, *, latent: int = 16) -> tuple[LinearVAE, AmortizedGuide]:
    """A linear VAE: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: D, the size of z.
    """
    return LinearVAE(latent, image_shape), AmortizedGuide(LinearHead(image_shape, latent))
