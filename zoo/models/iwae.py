"""The networks of the importance weighted autoencoder (Burda, Grosse, Salakhutdinov 2015), arXiv:1509.00519.

p(x, z)  = p(z_L) prod_{i<L} p(z_i | z_{i+1}) p(x | z_1)
q(z | x) = q(z_1 | x) prod_{1<i<=L} q(z_i | z_{i-1})

Both are Markov chains of normals whose parameters come from two tanh layers, sigma = exp(linear):

    L = 1:  784 - 200 - 200 - 50,                               mirrored in p:  425,284 parameters
    L = 2:  784 - 200 - 200 - 100,  100 - 100 - 100 - 50,       mirrored in p:  521,084 parameters

Another posterior, a flow's say, takes the place of the normals in q by ``posterior=...``.
The objective is separate: with `zoo.ImportanceWeighted` the pair is the IWAE, with `zoo.ELBO` a VAE.
"""

from collections.abc import Sequence
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.choices import Likelihood, Posterior
from zoo.errors import UsageError
from zoo.infer.guides import Guide, no_posterior
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.dense import dense, glorot
from zoo.nn.layers import Shape
from zoo.parts.heads import NormalHead, distribution_of, encoded
from zoo.parts.likelihoods import BernoulliLikelihood
from zoo.parts.priors import StandardNormal
from zoo.settings import construct


class MarkovVAE(Program):
    """p(z_L) p(z_{L-1} | z_L) ... p(z_1 | z_2) p(x | z_1); sites ``z_L`` ... ``z_1`` and ``x``.

    Args:
        prior: called with nothing, returns p(z_L), batch shape ().
        conditionals: 1 ... L-1, each called with z_{i+1} (B, ...), returns p(z_i | z_{i+1}).
        likelihood: called with z_1, returns p(x | z_1), batch shape (B,), event shape (C, H, W).
    """

    def __init__(self, prior: nn.Module, conditionals: Sequence[nn.Module], likelihood: nn.Module) -> None:
        super().__init__()
        self.prior, self.likelihood = prior, likelihood
        self.conditionals = nn.ModuleList(conditionals)

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        layers = len(self.conditionals) + 1
        with batch_plate():
            z = latent(f"z_{layers}", independent_copies(self.prior(), batch_size(x, n)), layer=layers)
            for i in range(layers - 1, 0, -1):
                z = latent(f"z_{i}", self.conditionals[i - 1](z), z, layer=i)  # p(z_i | z_{i+1})
            return pyro.sample("x", self.likelihood(z), obs=x)


class MarkovGuide(Guide):
    """q(z_1 | x) q(z_2 | z_1) ... q(z_L | z_{L-1}), drawn from the image upward.

    Args:
        heads: 1 ... L; the first is called with x, head i with z_{i-1}.
        model: see `Guide`.
    """

    def __init__(self, heads: Sequence[nn.Module], *, model: Any = None) -> None:
        super().__init__(model)
        self.heads: Any = nn.ModuleList(heads)

    def encode(self, x: Tensor) -> Any:
        """The parameters of q(z_1 | x)."""
        return encoded(self.heads[0], x)

    def bottom_up(self, parameters: Any) -> Any:
        """Sample z_1 ... z_{L-1}; returns the parameters of q(z_L | z_{L-1})."""
        with batch_plate():
            for i, head in enumerate(self.heads[1:], 1):
                q = distribution_of(self.heads[i - 1], parameters)
                z = latent(f"z_{i}", q, layer=i)  # q(z_i | z_{i-1})
                parameters = encoded(head, z)
        return parameters

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(z_L | z_{L-1}).

        Raises:
            ValueError: for another latent.
        """
        if name != f"z_{len(self.heads)}":
            raise no_posterior(self, name)
        return distribution_of(self.heads[-1], features)


def iwae(
    image_shape: Shape,
    *,
    latents: tuple[int, ...] = (50,),
    hidden: tuple[int, ...] = (200,),
    posterior: Posterior = NormalHead,
    likelihood: Likelihood = BernoulliLikelihood,
) -> tuple[MarkovVAE, MarkovGuide]:
    """A VAE of dense networks with one or several stochastic layers: model and guide.

    Weights start as Glorot's uniform, biases at 0; the paper also starts the output's bias at the mean
    image, which ``likelihood.starts_at_images`` does in a run.

    Args:
        image_shape: (C, H, W).
        latents: sizes of z_1 ... z_L, from the image up; the paper has (50,) and (100, 50).
        hidden: widths of the two tanh layers below each z_i; the paper has (200,) and (200, 100).
        posterior: makes q(z_i | x or z_{i-1}) from the tanh layers and the size of z_i.
        likelihood: makes p(x | z_1) from the tanh layers and the image's shape.

    Raises:
        UsageError: unless there are as many widths as latents, at least one.
    """
    if not latents or len(latents) != len(hidden):
        raise UsageError(
            f"expected one width in hidden for each of latents, at least one; got latents {latents} and "
            f"hidden {hidden}"
        )
    below = [tuple(image_shape), *((size,) for size in latents[:-1])]  # of what z_i is inferred from
    heads = [
        construct(posterior, _tanh(shape, width), size, scale=torch.exp)
        for shape, width, size in zip(below, hidden, latents, strict=True)
    ]
    upper = zip(latents[1:], hidden[1:], latents[:-1], strict=True)
    conditionals = [_normal((above,), w, z) for above, w, z in upper]
    p_x = construct(likelihood, _tanh((latents[0],), hidden[0]), image_shape)
    model = MarkovVAE(StandardNormal(latents[-1]), conditionals, p_x)
    guide = MarkovGuide(heads, model=model)
    return glorot(model), glorot(guide)


def _tanh(in_shape: Shape, width: int) -> Any:
    return dense(in_shape, (width, width), activation=nn.Tanh)


def _normal(in_shape: Shape, width: int, latent: int) -> NormalHead:
    return NormalHead(_tanh(in_shape, width), latent, scale=torch.exp)
