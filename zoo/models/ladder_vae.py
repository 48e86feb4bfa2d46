"""Ladder VAE (Sønderby, Raiko, Maaløe, Sønderby, Winther 2016), arXiv:1602.02282, and BIVA's ablations of it.

p(x, z)  = p(x | z) p(z_L) prod_{i<L} p(z_i | z_>i)
q(z | x) = q(z_L | x) prod_{i<L} q(z_i | x, z_>i)

Nothing is drawn on the way up: deterministic features d_i of the image meet the model's on its way down.

    x -> d_1 -> d_2 -> ... -> d_L -> z_L -> d_p_L -> ... -> d_p_2 -> z_1 -> d_p_1 -> x
                                                merge(d_i, p(z_i | z_>i), d_p_{i+1}) -> q(z_i | x, z_>i)

Two papers call two models LVAE:

- the original: q is the precision-weighted product of the prior and an estimate from d_i
  (`PrecisionWeighted`), on one path of inference (`OnePathUp`): `ladder_vae`;
- the ablations of arXiv:1902.02102: BIVA without its bottom-up latents, both of its deterministic paths kept
  (`TwoPathsUp`), q by a network of d_i and d_p_{i+1} (`Learned`); LVAE+ with skip connections in the
  model, LVAE without: `lvae`.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from distributions import PrecisionWeightedNormal
from zoo.infer.guides import Guide
from zoo.models.hierarchy import Design, Hierarchy, pair
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.layers import Shape
from zoo.nn.stages import Block, Stage, TwoPaths, Upward, feature_shapes, joined
from zoo.parts.heads import NormalHead
from zoo.settings import passes_on


class LadderVAE(Hierarchy):
    """p(x, z): the generative half, one variable per layer; see `zoo.models.hierarchy.Hierarchy`."""


class LadderGuide(Guide):
    """q(z | x): one deterministic pass upward, then answers on the model's way down.

    Args:
        path: x to the features d_1 ... d_L.
        merges: 1 ... L-1, each with ``encode(d_i)`` and ``posterior(encoded, prior, h)``: `Learned`,
            `PrecisionWeighted`.
        top: head, q(z_L | d_L).
        model: see `Guide`.
    """

    def __init__(
        self, path: nn.Module, merges: Sequence[nn.Module], top: nn.Module, *, model: Any = None
    ) -> None:
        super().__init__(model)
        self.path = path
        self.top: Any = top
        self.merges: Any = nn.ModuleList(merges)
        self.index = {f"z_{i}": i - 1 for i in range(1, len(merges) + 1)}

    def encode(self, x: Tensor) -> dict[str, Any]:
        """The part of every posterior that depends on x only, by site."""
        *lower, top = self.path(x)
        encoded = [merge.encode(d) for merge, d in zip(self.merges, lower, strict=True)]
        return {f"z_{i}": e for i, e in enumerate([*encoded, self.top.encode(top)], 1)}

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(z_L | x), or q(z_i | x, z_>i) with h = d_p_{i+1}."""
        if name not in self.index:
            return self.top.distribution(features[name])
        return self.merges[self.index[name]].posterior(features[name], prior, h)


class PrecisionWeighted(nn.Module):
    """q(z_i | x, z_>i) = N(z_i; mu^(d_i), s^(d_i)^2) p(z_i | z_>i), normalised (arXiv:1602.02282).

    Args:
        head: q^(z_i | d_i), a normal.
    """

    def __init__(self, head: NormalHead) -> None:
        super().__init__()
        self.head = head

    def encode(self, d: Tensor) -> Tensor:
        """The parameters of the estimate from below."""
        return self.head.encode(d)

    def posterior(self, parameters: Tensor, prior: Any, h: Tensor) -> Any:
        """The estimate from below times the prior."""
        estimate = self.head.distribution(parameters)
        return PrecisionWeightedNormal(estimate, prior).to_event(len(self.head.event_shape))


class Learned(nn.Module):
    """q(z_i | x, z_>i) = head(block(d_i; aux = d_p_{i+1})), as BIVA merges (arXiv:1902.02102).

    Args:
        block: called with d_i and d_p_{i+1}.
        head: of the block's output.
    """

    def __init__(self, block: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.block, self.head = block, head

    def encode(self, d: Tensor) -> Tensor:
        """The features themselves."""
        return d

    def posterior(self, d: Tensor, prior: Any, h: Tensor) -> Any:
        """The head's distribution."""
        return self.head(self.block(d, h))


class OnePathUp(nn.Module):
    """x to d_1 ... d_L by one stage after the other."""

    def __init__(self, image_shape: Shape, stages: Sequence[Stage], *, block: Block = GatedResNet) -> None:
        super().__init__()
        shapes = feature_shapes(image_shape, stages)
        self.stages = nn.ModuleList(
            Upward(stage, below, below, block=block) for stage, below in zip(stages, shapes, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """d_1 ... d_L."""
        return list(itertools.accumulate(self.stages, lambda d, stage: stage(d), initial=x))[1:]


class TwoPathsUp(nn.Module):
    """x to d_td_1 ... d_td_{L-1} and (d_bu_L, d_td_L): BIVA's two paths, d_bu_i passed on unchanged."""

    def __init__(self, image_shape: Shape, stages: Sequence[Stage], *, block: Block = GatedResNet) -> None:
        super().__init__()
        shapes = feature_shapes(image_shape, stages)
        self.stages = nn.ModuleList(
            TwoPaths(stage, below, below if i else None, block=block)
            for i, (stage, below) in enumerate(zip(stages, shapes, strict=False))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """d_1 ... d_L, the last with both paths' channels."""
        d_bu, d_td, aux = x, x, None
        path = []
        for stage in self.stages:
            d_bu, d_td = stage(d_bu, d_td, aux)
            aux = joined(d_bu, d_td)
            path.append(d_td)
        return [*path[:-1], joined(d_bu, d_td)]


def precision_weighted(design: Design) -> LadderGuide:
    """The guide of the Ladder VAE: one path, precision-weighted merges."""
    path = OnePathUp(design.image_shape, design.stages, block=design.block_q)
    *lower, top = [design.head(i) for i in range(len(design.stages))]
    return LadderGuide(path, [PrecisionWeighted(head) for head in lower], top)


def learned(design: Design) -> LadderGuide:
    """The guide of LVAE+ and LVAE: both of BIVA's paths, merged as BIVA merges."""
    path = TwoPathsUp(design.image_shape, design.stages, block=design.block_q)
    merges = [Learned(design.merge(i), design.head(i)) for i in range(len(design.seen))]
    return LadderGuide(path, merges, design.two_path_top())


@passes_on(pair, supplied=("suffixes",))
def ladder_vae(
    image_shape: Shape, stages: Sequence[Stage], *, skips: bool = False, **options: Any
) -> tuple[LadderVAE, LadderGuide]:
    """The Ladder VAE with its precision-weighted merge: model and guide.

    The paper's networks are dense, with batch normalisation; here they are of any residual block.

    Args:
        image_shape: (C, H, W).
        stages: layers 1 ... L.
        skips: skip connections in the model; the paper has none.
        options: of `zoo.models.hierarchy.pair`.
    """
    return pair(LadderVAE, precision_weighted, image_shape, stages, skips=skips, **options)


@passes_on(pair, supplied=("suffixes",))
def lvae(
    image_shape: Shape, stages: Sequence[Stage], *, skips: bool = True, **options: Any
) -> tuple[LadderVAE, LadderGuide]:
    """LVAE+, or without `skips` LVAE, as BIVA's paper compares them with BIVA: model and guide.

    Args:
        image_shape: (C, H, W).
        stages: layers 1 ... L.
        skips: block j of layer i of the model sees the output of block j of layer i + 1.
        options: as of `ladder_vae`.
    """
    return pair(LadderVAE, learned, image_shape, stages, skips=skips, **options)
