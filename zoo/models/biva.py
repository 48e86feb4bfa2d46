"""BIVA: a very deep hierarchy of latent variables (Maaløe, Fraccaro, Liévin, Winther 2019), arXiv:1902.02102.

p(x, z)  = p(x | z) p(z_L) prod_{i<L} p(z_i^BU | z_>i) p(z_i^TD | z_>i)
q(z | x) = prod_{i<L} q(z_i^BU | x, z_<i^BU)  q(z_L | x, z_<L^BU)  prod_{i<L} q(z_i^TD | x, z_<i^BU, z_>i)

Layers count upward from the image, 1 ... L; sites ``z_i_bu``, ``z_i_td``, ``z_L`` and ``x``. Deterministic
features are d_p (generative), d_bu and d_td (inference, the latter free of the noise of its own layer).

               bottom-up inference                     generative, and top-down inference
    x -> d_bu_1 -> z_1_bu -> d_bu_2 -> ... z_L -> d_p_L -> z_{L-1} -> ... -> d_p_2 -> z_1 -> d_p_1 -> x
    x -> d_td_1 ------------> d_td_2 -> ...                 merge(d_td_i, d_p_{i+1}) -> q(z_i_td)

The z^BU are drawn before the model runs and from variables below them, so their KL is estimated by Monte
Carlo; that of z_L and z^TD in closed form where there is one.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.infer.guides import Guide
from zoo.infer.programs import batch_plate, latent
from zoo.models.hierarchy import Design, Hierarchy, pair
from zoo.nn.layers import Shape
from zoo.nn.stages import Stage, TwoPaths, joined
from zoo.settings import passes_on

__all__ = ["BIVA", "BIVAGuide", "InferenceLayer", "Stage", "biva"]


class BIVA(Hierarchy):
    """p(x, z): the generative half, two variables per layer; see `zoo.models.hierarchy.Hierarchy`."""


class BIVAGuide(Guide):
    """q(z | x): bottom-up sampling, then answers on the model's way down.

    Args:
        layers: `InferenceLayer`s 1 ... L.
        top: head, q(z_L | d_bu_L, d_td_L).
        model: see `Guide`.
    """

    def __init__(self, layers: Sequence["InferenceLayer"], top: nn.Module, *, model: Any = None) -> None:
        super().__init__(model)
        self.layers: Any = nn.ModuleList(layers)
        self.top = top
        self.index = {f"z_{i}_td": i - 1 for i in range(1, len(layers))}

    def encode(self, x: Tensor) -> Any:
        """d_bu_1, d_td_1 and the parameters of q(z_1^BU | x)."""
        d_bu, d_td = self.layers[0](x, x, None)
        return d_bu, d_td, self.layers[0].posterior_bu.encode(d_bu)

    def bottom_up(self, features: Any) -> dict[str, Tensor]:
        """Sample every z_i^BU; returns what each of the other posteriors needs from below."""
        d_bu, d_td, parameters = features
        known = {"z_1_td": d_td}
        with batch_plate():
            for i, (layer, above) in enumerate(zip(self.layers, self.layers[1:], strict=False), 1):
                q = layer.posterior_bu.distribution(parameters)
                z_bu = latent(f"z_{i}_bu", q, layer=i)  # q(z_i^BU | x, z_<i^BU)
                d_bu, d_td = above(z_bu, d_td, joined(d_bu, d_td))
                known[f"z_{i + 1}_td"] = d_td
                if above.posterior_bu is not None:
                    parameters = above.posterior_bu.encode(d_bu)
        known[f"z_{len(self.layers)}"] = joined(d_bu, d_td)
        return known

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(z_L | x, z_<L^BU), or q(z_i^TD | x, z_<i^BU, z_>i) with h = d_p_{i+1}."""
        if name == f"z_{len(self.layers)}":
            return self.top(features[name])
        layer = self.layers[self.index[name]]
        return layer.posterior_td(layer.merge(features[name], h))


class InferenceLayer(TwoPaths):
    """The deterministic paths of layer i of the guide and, where i < L, its posteriors.

    Args:
        design: of the hierarchy.
        i: the layer's index, from 0.
    """

    def __init__(self, design: Design, i: int) -> None:
        z_bu = design.events[i - 1] if i else None
        super().__init__(design.stages[i], design.below[i], z_bu, block=design.block_q)
        self.posterior_bu = None
        if i < len(design.stages) - 1:
            self.posterior_bu = design.head(i)
            self.merge = design.merge(i)
            self.posterior_td = design.head(i)


@passes_on(pair, supplied=("suffixes",))
def biva(image_shape: Shape, stages: Sequence[Stage], **options: Any) -> tuple[BIVA, BIVAGuide]:
    """BIVA: model and guide.

    Args:
        image_shape: (C, H, W).
        stages: layers 1 ... L, L >= 2.
        options: of `zoo.models.hierarchy.pair`.

    Raises:
        ValueError: with fewer than two stages.
    """
    if len(stages) < 2:
        raise ValueError(f"BIVA needs at least two stages, else it is a VAE; got {len(stages)}")
    return pair(BIVA, biva_guide, image_shape, stages, suffixes=("_bu", "_td"), **options)


def biva_guide(design: Design) -> BIVAGuide:
    """BIVA's guide."""
    layers = [InferenceLayer(design, i) for i in range(len(design.stages))]
    return BIVAGuide(layers, design.two_path_top())
