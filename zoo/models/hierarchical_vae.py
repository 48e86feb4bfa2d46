"""A hierarchy of latent variables inferred bottom-up (Burda et al. 2015, arXiv:1509.00519; arXiv:1902.02102).

p(x, z)  = p(x | z) p(z_L) prod_{i<L} p(z_i | z_>i)
q(z | x) = q(z_1 | x) prod_{1<i<=L} q(z_i | x, z_<i)

    x -> d_1 -> z_1 -> d_2 -> z_2 -> ... -> d_L -> z_L -> d_p_L -> ... -> z_1 -> d_p_1 -> x

Without skip connections both are Markov chains: p(z_i | z_{i+1}), q(z_i | z_{i-1}). All z_i but the top one
are drawn before the model runs, so their KL is estimated by Monte Carlo.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyro
from torch import Tensor, nn

from zoo.guides import Guide
from zoo.likelihoods import BernoulliLikelihood
from zoo.models.hierarchy import Heads, Hierarchy, generative
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.layers import Shape
from zoo.nn.scales import softplus_scale
from zoo.nn.stages import Block, Stage, Upward, feature_shapes
from zoo.programs import batch_plate


class HierarchicalVAE(Hierarchy):
    """p(x, z): the generative half, one variable a layer; see `zoo.models.hierarchy.Hierarchy`."""


class BottomUpGuide(Guide):
    """q(z | x), drawn from the image upward.

    Args:
        stages: `Upward` 1 ... L: d_1 of x, d_i of z_{i-1} (and, where `skips`, of d_{i-1}).
        heads: q(z_i | d_i), 1 ... L.
        skips: whether d_i sees d_{i-1} as well as z_{i-1}.
        model: see `Guide`.
    """

    def __init__(
        self, stages: Sequence[Upward], heads: Sequence[nn.Module], *, skips: bool, model: Any = None
    ) -> None:
        super().__init__(model)
        self.stages: Any = nn.ModuleList(stages)
        self.heads: Any = nn.ModuleList(heads)
        self.skips = skips

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """d_1 and the parameters of q(z_1 | x)."""
        d = self.stages[0](x)
        return d, self.heads[0].encode(d)

    def bottom_up(self, features: Any) -> Tensor:
        """Sample z_1 ... z_{L-1}; returns the parameters of q(z_L | x, z_<L)."""
        d, parameters = features
        with batch_plate():
            for i in range(1, len(self.stages)):
                z = pyro.sample(f"z_{i}", self.heads[i - 1].distribution(parameters))  # q(z_i | x, z_<i)
                d = self.stages[i](z, d if self.skips else None)
                parameters = self.heads[i].encode(d)
        return parameters

    def posterior(self, name: str, prior: Any, h: Any, features: Tensor) -> Any:
        """q(z_L | x, z_<L)."""
        return self.heads[-1].distribution(features)


def hierarchical_vae(
    image_shape: Shape,
    stages: Sequence[Stage],
    *,
    dropout_q: float = 0.0,
    dropout_p: float = 0.0,
    skips: bool = True,
    block: Block = GatedResNet,
    scale: Callable[[Tensor], Tensor] = softplus_scale,
    likelihood: Callable[..., nn.Module] = BernoulliLikelihood,
) -> tuple[HierarchicalVAE, BottomUpGuide]:
    """A VAE of several layers with a bottom-up posterior: model and guide.

    Args:
        image_shape: (C, H, W).
        stages: layers 1 ... L.
        dropout_q: probability in the inference blocks.
        dropout_p: probability in the generative blocks.
        skips: skip connections in the model and in the guide; without them both are Markov chains.
        block: makes a residual block, see `zoo.nn.stages`; takes ``dropout`` as well.
        scale: of priors and posteriors, see `Heads`.
        likelihood: made of a network and the image's shape.
    """
    block_q, block_p = partial(block, dropout=dropout_q), partial(block, dropout=dropout_p)
    heads = Heads(scale)
    model = generative(
        HierarchicalVAE, image_shape, stages, likelihood, skips=skips, block=block_p, heads=heads
    )
    shapes = feature_shapes(image_shape, stages)
    events = [stage.event(shape) for stage, shape in zip(stages, shapes[1:], strict=True)]
    upward = [
        Upward(stage, z or below, below, aux=below if z and skips else None, block=block_q)
        for stage, z, below in zip(stages, [None, *events], shapes, strict=False)
    ]
    posteriors = [heads(*parts) for parts in zip(stages, shapes[1:], events, strict=True)]
    return model, BottomUpGuide(upward, posteriors, skips=skips, model=model)
