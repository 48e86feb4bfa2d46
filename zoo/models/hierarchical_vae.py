"""A hierarchy of latent variables inferred bottom-up (Burda et al. 2015, arXiv:1509.00519; arXiv:1902.02102).

p(x, z)  = p(x | z) p(z_L) prod_{i<L} p(z_i | z_>i)
q(z | x) = q(z_1 | x) prod_{1<i<=L} q(z_i | x, z_<i)

    x -> d_1 -> z_1 -> d_2 -> z_2 -> ... -> d_L -> z_L -> d_p_L -> ... -> z_1 -> d_p_1 -> x

Without skip connections both are Markov chains: p(z_i | z_{i+1}), q(z_i | z_{i-1}). All z_i but the top one
are drawn before the model runs, so their KL is estimated by Monte Carlo.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.infer.guides import Guide, no_posterior
from zoo.infer.programs import batch_plate, latent
from zoo.models.hierarchy import Design, Hierarchy, pair
from zoo.nn.layers import Shape
from zoo.nn.stages import Stage, Upward
from zoo.settings import passes_on


class HierarchicalVAE(Hierarchy):
    """p(x, z): the generative half, one variable per layer; see `zoo.models.hierarchy.Hierarchy`."""


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
                q = self.heads[i - 1].distribution(parameters)
                z = latent(f"z_{i}", q, layer=i)  # q(z_i | x, z_<i)
                d = self.stages[i](z, d if self.skips else None)
                parameters = self.heads[i].encode(d)
        return parameters

    def posterior(self, name: str, prior: Any, h: Any, features: Tensor) -> Any:
        """q(z_L | x, z_<L).

        Raises:
            ValueError: for another latent.
        """
        if name != f"z_{len(self.heads)}":
            raise no_posterior(self, name)
        return self.heads[-1].distribution(features)


def bottom_up_guide(design: Design) -> BottomUpGuide:
    """The guide of a VAE of several layers."""
    starts = [design.image_shape, *design.events[:-1]]
    stages = [
        Upward(stage, z, below, aux=below if i and design.skips else None, block=design.block_q)
        for i, (stage, z, below) in enumerate(zip(design.stages, starts, design.below, strict=True))
    ]
    heads = [design.head(i) for i in range(len(stages))]
    return BottomUpGuide(stages, heads, skips=design.skips)


@passes_on(pair, supplied=("suffixes",))
def hierarchical_vae(
    image_shape: Shape, stages: Sequence[Stage], *, skips: bool = True, **options: Any
) -> tuple[HierarchicalVAE, BottomUpGuide]:
    """A VAE of several layers with a bottom-up posterior: model and guide.

    Args:
        image_shape: (C, H, W).
        stages: layers 1 ... L.
        skips: skip connections in the model and in the guide; without them both are Markov chains.
        options: of `zoo.models.hierarchy.pair`.
    """
    return pair(HierarchicalVAE, bottom_up_guide, image_shape, stages, skips=skips, **options)
