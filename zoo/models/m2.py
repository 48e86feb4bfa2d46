"""Semi-supervised VAEs: M2, and M1+M2 stacked (Kingma et al. 2014), arXiv:1406.5298.

M2      p(x, y, z)   = p(y) p(z) p(x | y, z)
        q(y, z | x)  = q(y | x) q(z | x, y)

M1+M2   p(x, y, z)   = p(y) p(z_2) p(z_1 | y, z_2) p(x | z_1)
        q(y, z | x)  = q(z_1 | x) q(y | z_1) q(z_2 | y, z_1)

The sites are ``y``, one-hot, ``z`` or ``z_1`` and ``z_2``, and ``x``. M1+M2 is one model, which can be
trained whole; the paper trains M1, a VAE, first and M2 on its draws of z_1, see
`zoo.runs.finetuning.load_pretrained_m1`. z_1 is drawn before the model runs, so its KL is estimated by Monte
Carlo.
"""

from functools import partial
from typing import Any, Literal

import pyro
import torch
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.choices import Encoder, Likelihood
from zoo.infer.copied import once_a_draw
from zoo.infer.guides import Guide
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.activations import ELU
from zoo.nn.dense import dense
from zoo.nn.layers import Shape
from zoo.parts.heads import NormalHead
from zoo.parts.labels import Classes, LabelHead, UniformLabels
from zoo.parts.likelihoods import BernoulliLikelihood
from zoo.parts.priors import StandardNormal
from zoo.settings import construct


class M2(Program):
    """p(x, y, z) = p(y) p(z) p(x | y, z).

    Args:
        label: called with nothing, returns p(y), one-hot.
        prior: called with nothing, returns p(z).
        likelihood: called with [z, y] (B, D + C), returns p(x | y, z).
    """

    def __init__(self, label: nn.Module, prior: nn.Module, likelihood: nn.Module) -> None:
        super().__init__()
        self.label, self.prior, self.likelihood = label, prior, likelihood

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        n = batch_size(x, n)
        with batch_plate():
            y = latent("y", independent_copies(self.label(), n))  # p(y)
            z = latent("z", independent_copies(self.prior(), n), y, layer=1)  # p(z)
            return pyro.sample("x", self.likelihood(torch.cat([z, y], dim=1)), obs=x)  # p(x | y, z)


class M2Guide(Guide):
    """q(y, z | x) = q(y | x) q(z | x, y).

    Args:
        encoder: x to features f (B, F), of which both posteriors are made.
        label: head, q(y | f).
        latent: head, q(z | [f, y]).
        model: see `Guide`.
    """

    def __init__(self, encoder: nn.Module, label: nn.Module, latent: nn.Module, *, model: Any = None) -> None:
        super().__init__(model)
        self.encoder, self.label, self.latent = encoder, label, latent

    def encode(self, x: Tensor) -> Tensor:
        """The features of x."""
        return self.encoder(x)

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(y | x), or q(z | x, y) with h = y."""
        if name == "y":
            return self.label(features)
        return self.latent(torch.cat([features, h], dim=1))


class M1M2(Program):
    """p(x, y, z) = p(y) p(z_2) p(z_1 | y, z_2) p(x | z_1).

    Args:
        label: called with nothing, returns p(y), one-hot.
        prior: called with nothing, returns p(z_2).
        latent: head, p(z_1 | [z_2, y]).
        likelihood: called with z_1, returns p(x | z_1).
    """

    def __init__(self, label: nn.Module, prior: nn.Module, latent: nn.Module, likelihood: nn.Module) -> None:
        super().__init__()
        self.label, self.prior, self.latent, self.likelihood = label, prior, latent, likelihood

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        n = batch_size(x, n)
        with batch_plate():
            y = latent("y", independent_copies(self.label(), n))  # p(y)
            z_2 = latent("z_2", independent_copies(self.prior(), n), y, layer=2)  # p(z_2)
            z_1 = latent("z_1", self.latent(torch.cat([z_2, y], dim=1)), layer=1)  # p(z_1 | y, z_2)
            return pyro.sample("x", once_a_draw(self.likelihood, z_1), obs=x)  # p(x | z_1)


class M1M2Guide(Guide):
    """q(y, z | x) = q(z_1 | x) q(y | z_1) q(z_2 | y, z_1).

    Args:
        first: head, q(z_1 | x).
        label: head, q(y | z_1).
        second: head, q(z_2 | [z_1, y]).
        model: see `Guide`.
    """

    def __init__(self, first: Any, label: nn.Module, second: nn.Module, *, model: Any = None) -> None:
        super().__init__(model)
        self.first, self.label, self.second = first, label, second

    def encode(self, x: Tensor) -> Tensor:
        """The parameters of q(z_1 | x)."""
        return self.first.encode(x)

    def bottom_up(self, features: Any) -> Tensor:
        """Sample z_1 ~ q(z_1 | x)."""
        with batch_plate():
            return latent("z_1", self.first.distribution(features), layer=1)

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(y | z_1), or q(z_2 | y, z_1) with h = y."""
        if name == "y":
            return self.label(features)
        return self.second(torch.cat([features, h], dim=1))


def load_m1(model: M1M2, guide: M1M2Guide, likelihood: nn.Module, posterior: nn.Module) -> None:
    """Take p(x | z_1) and q(z_1 | x) from a trained M1 and train them no further.

    Args:
        model: whose likelihood takes over the parameters of `likelihood`.
        guide: whose q(z_1 | x) takes over those of `posterior`.
        likelihood: M1's.
        posterior: M1's head.

    Raises:
        RuntimeError: if their sizes differ.
    """
    for ours, theirs in ((model.likelihood, likelihood), (guide.first, posterior)):
        ours.load_state_dict(theirs.state_dict())
        ours.requires_grad_(False)


def m2(
    image_shape: Shape,
    *,
    latent: int = 32,
    hidden: tuple[int, ...] = (256, 256),
    classes: Classes = 10,
    encoder: Encoder = dense,
    likelihood: Likelihood = BernoulliLikelihood,
) -> tuple[M2, M2Guide]:
    """M2 of dense networks: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: size of z.
        hidden: widths of every network.
        classes: C.
        encoder: made of the image's shape and `hidden`: x to a vector of features.
        likelihood: made of the decoder and the image's shape.
    """
    net = construct(encoder, image_shape, hidden)
    decoder = construct(likelihood, dense((latent + classes,), hidden), image_shape)
    model = M2(UniformLabels(classes), StandardNormal(latent), decoder)
    (features,) = net.out_shape
    label = LabelHead(dense((features,), hidden[-1:]), classes)
    posterior = NormalHead(dense((features + classes,), hidden[-1:]), latent)
    return model, M2Guide(net, label, posterior, model=model)


def m1_m2(
    image_shape: Shape,
    *,
    latent: int = 32,
    second: int = 32,
    hidden: tuple[int, ...] = (256, 256),
    second_hidden: tuple[int, ...] | None = None,
    second_activation: Literal["elu", "relu"] = "elu",
    classes: Classes = 10,
    encoder: Encoder = dense,
    likelihood: Likelihood = BernoulliLikelihood,
) -> tuple[M1M2, M1M2Guide]:
    """M1+M2 of dense networks: model and guide.

    Args:
        image_shape: (C, H, W).
        latent: size of z_1.
        second: size of z_2.
        hidden: widths of the networks between x and z_1, M1's.
        second_hidden: widths of the networks above z_1, M2's; none for those of `hidden`. A step runs them
            once for every class, M1's once.
        second_activation: of the networks above z_1.
        classes: C.
        encoder: made of the image's shape and `hidden`: x to a vector of features.
        likelihood: made of the decoder and the image's shape.
    """
    widths = hidden if second_hidden is None else second_hidden
    above = partial(dense, hidden=widths, activation=nn.ReLU if second_activation == "relu" else ELU)
    net = construct(encoder, image_shape, hidden)
    prior_1 = NormalHead(above((second + classes,)), latent)
    decoder = construct(likelihood, dense((latent,), hidden), image_shape)
    model = M1M2(UniformLabels(classes), StandardNormal(second), prior_1, decoder)
    guide = M1M2Guide(
        NormalHead(net, latent),
        LabelHead(above((latent,)), classes),
        NormalHead(above((latent + classes,)), second),
        model=model,
    )
    return model, guide
