"""Auxiliary deep generative models, semi-supervised (Maaløe et al. 2016), arXiv:1602.05473.

ADGM    p(x, y, z, a)   = p(y) p(z) p(x | y, z) p(a | x, y, z)
SDGM    p(x, y, z, a)   = p(y) p(z) p(a | y, z) p(x | a, y, z)       (skip deep generative model)
both    q(a, y, z | x)  = q(a | x) q(y | a, x) q(z | a, y, x)

The auxiliary variable a makes q(z | x, y) = ∫ q(a | x) q(z | a, y, x) da as rich as a mixture. ADGM's
p(a | x, y, z) does not change p(x, y), which is M2's; it keeps the bound tight. The sites are ``y``, one-hot,
``z``, ``a`` and ``x``; the guide is `zoo.AuxiliaryGuide`.
"""

from collections.abc import Sequence
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.choices import Encoder, Likelihood
from zoo.infer.auxiliary import AuxiliaryGuide
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.dense import dense
from zoo.nn.layers import Shape
from zoo.parts.heads import Features, ImageConditioned, NormalHead
from zoo.parts.labels import Classes, LabelHead, UniformLabels
from zoo.parts.likelihoods import BernoulliLikelihood
from zoo.parts.priors import StandardNormal
from zoo.settings import construct, passes_on


class Auxiliary(Program):
    """Base of both models: their parts, and p(y) p(z).

    Args:
        label: called with nothing, returns p(y), one-hot.
        prior: called with nothing, returns p(z).
        auxiliary: head of a; ADGM calls it with (x, [z, y]), SDGM with [z, y].
        likelihood: ADGM's is called with [z, y], SDGM's with [a, z, y].
    """

    def __init__(
        self, label: nn.Module, prior: nn.Module, auxiliary: nn.Module, likelihood: nn.Module
    ) -> None:
        super().__init__()
        self.label, self.prior, self.auxiliary, self.likelihood = label, prior, auxiliary, likelihood

    def above(self, n: int) -> Tensor:
        """[z, y] of n images, (n, D + C)."""
        y = latent("y", independent_copies(self.label(), n))  # p(y)
        z = latent("z", independent_copies(self.prior(), n), y, layer=1)  # p(z)
        return torch.cat([z, y], dim=1)


class ADGM(Auxiliary):
    """p(y) p(z) p(x | y, z) p(a | x, y, z); see `Auxiliary`."""

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        with batch_plate():
            zy = self.above(batch_size(x, n))
            x = pyro.sample("x", self.likelihood(zy), obs=x)  # p(x | y, z)
            latent("a", self.auxiliary(x, zy))  # p(a | x, y, z)
        return x


class SDGM(Auxiliary):
    """p(y) p(z) p(a | y, z) p(x | a, y, z); see `Auxiliary`."""

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        with batch_plate():
            zy = self.above(batch_size(x, n))
            a = latent("a", self.auxiliary(zy))  # p(a | y, z)
            return pyro.sample("x", self.likelihood(torch.cat([a, zy], dim=1)), obs=x)  # p(x | a, y, z)


def adgm(
    image_shape: Shape,
    *,
    latent: int = 32,
    auxiliary: int = 32,
    hidden: tuple[int, ...] = (256, 256),
    classes: Classes = 10,
    encoder: Encoder = dense,
    likelihood: Likelihood = BernoulliLikelihood,
) -> tuple[ADGM, AuxiliaryGuide]:
    """An ADGM of dense networks: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: size of z.
        auxiliary: size of a.
        hidden: widths of every network.
        classes: C, the number of classes.
        encoder: makes the guide's network of x, to a vector of features, from the image's shape and `hidden`.
        likelihood: makes p(x | .) from the decoder and the image's shape.
    """
    net = construct(encoder, image_shape, hidden)
    zy = latent + classes
    head = NormalHead(dense((hidden[-1] + zy,), hidden[-1:]), auxiliary)
    p_x = construct(likelihood, dense((zy,), hidden), image_shape)
    p_a = ImageConditioned(dense(image_shape, hidden), head)
    model = ADGM(UniformLabels(classes), StandardNormal(latent), p_a, p_x)
    return model, _guide(model, net, latent, auxiliary, hidden[-1:], classes)


@passes_on(adgm)
def sdgm(
    image_shape: Shape,
    *,
    latent: int = 32,
    auxiliary: int = 32,
    hidden: tuple[int, ...] = (256, 256),
    classes: Classes = 10,
    encoder: Encoder = dense,
    likelihood: Likelihood = BernoulliLikelihood,
) -> tuple[SDGM, AuxiliaryGuide]:
    """An SDGM of dense networks: model and guide; see `adgm` for the arguments."""
    net = construct(encoder, image_shape, hidden)
    zy = latent + classes
    p_a = NormalHead(dense((zy,), hidden), auxiliary)
    p_x = construct(likelihood, dense((auxiliary + zy,), hidden), image_shape)
    model = SDGM(UniformLabels(classes), StandardNormal(latent), p_a, p_x)
    return model, _guide(model, net, latent, auxiliary, hidden[-1:], classes)


def _guide(
    model: Auxiliary, encoder: Any, latent: int, auxiliary: int, hidden: Sequence[int], classes: int
) -> AuxiliaryGuide:
    (features,) = encoder.out_shape
    q_a = NormalHead(Features((features,)), auxiliary)
    q_y = LabelHead(dense((features + auxiliary,), hidden), classes)
    q_z = NormalHead(dense((features + auxiliary + classes,), hidden), latent)
    return AuxiliaryGuide(encoder, q_a, {"y": q_y, "z": q_z}, model=model)
