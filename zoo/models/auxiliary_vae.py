"""A VAE whose guide has an auxiliary variable (arXiv:1602.05473, without labels).

p(x, z, a)   = p(z) p(x | z) p(a | x, z)
q(a, z | x)  = q(a | x) q(z | a, x)

p(x) is that of the VAE without a; see `zoo.infer.auxiliary`. The networks are IWAE's, with tanh layers and
sigma = exp(linear), so that this posterior can be compared with the others on them.
"""

from typing import Any

import pyro
import torch
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.choices import Likelihood
from zoo.infer.auxiliary import AuxiliaryGuide
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.dense import dense, glorot
from zoo.nn.layers import Shape
from zoo.parts.heads import Features, ImageConditioned, NormalHead
from zoo.parts.likelihoods import BernoulliLikelihood
from zoo.parts.priors import StandardNormal
from zoo.settings import construct


class AuxiliaryVAE(Program):
    """p(z) p(x | z) p(a | x, z); sites ``z``, ``x`` and ``a``.

    Args:
        prior: called with nothing, returns p(z), batch shape ().
        likelihood: called with z (B, ...), returns p(x | z), batch shape (B,), event shape (C, H, W).
        auxiliary: called with (x, z), returns p(a | x, z).
    """

    def __init__(self, prior: nn.Module, likelihood: nn.Module, auxiliary: nn.Module) -> None:
        super().__init__()
        self.prior, self.likelihood, self.auxiliary = prior, likelihood, auxiliary

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        with batch_plate():
            z = latent("z", independent_copies(self.prior(), batch_size(x, n)), layer=1)
            x = pyro.sample("x", self.likelihood(z), obs=x)
            latent("a", self.auxiliary(x, z))  # p(a | x, z)
        return x


def auxiliary_vae(
    image_shape: Shape,
    *,
    latent: int = 50,
    auxiliary: int = 50,
    hidden: int = 200,
    likelihood: Likelihood = BernoulliLikelihood,
) -> tuple[AuxiliaryVAE, AuxiliaryGuide]:
    """A dense VAE with an auxiliary variable in its guide: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: size of z.
        auxiliary: size of a.
        hidden: width of every tanh layer: two of the encoder and the decoder, one above [f, a] and one below
            [x, z].
        likelihood: makes p(x | z) from the decoder and the image's shape.
    """

    def tanh(shape: Shape, layers: int) -> Any:
        return dense(shape, (hidden,) * layers, activation=nn.Tanh)

    def normal(net: Any, size: int) -> NormalHead:
        return NormalHead(net, size, scale=torch.exp)

    p_a = ImageConditioned(tanh(image_shape, 1), normal(tanh((hidden + latent,), 1), auxiliary))
    p_x = construct(likelihood, tanh((latent,), 2), image_shape)
    model = AuxiliaryVAE(StandardNormal(latent), p_x, p_a)
    q_z = normal(tanh((hidden + auxiliary,), 1), latent)
    encoder, q_a = tanh(image_shape, 2), normal(Features((hidden,)), auxiliary)
    guide = AuxiliaryGuide(encoder, q_a, {"z": q_z}, model=model)
    return glorot(model), glorot(guide)
