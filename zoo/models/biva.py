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

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyro
from torch import Tensor, nn

from zoo.guides import Guide
from zoo.likelihoods import BernoulliLikelihood
from zoo.models.hierarchy import Heads, Hierarchy, generative, generative_features, two_path_top
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.layers import Shape
from zoo.nn.scales import softplus_scale
from zoo.nn.stages import Block, Stage, TwoPaths, feature_shapes, joined
from zoo.programs import batch_plate, index_of

__all__ = ["BIVA", "BIVAGuide", "InferenceLayer", "Stage", "biva"]


class BIVA(Hierarchy):
    """p(x, z): the generative half, two variables a layer; see `zoo.models.hierarchy.Hierarchy`."""


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
                z_bu = pyro.sample(f"z_{i}_bu", q)  # q(z_i^BU | x, z_<i^BU)
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
        layer = self.layers[index_of(name)]
        return layer.posterior_td(layer.merge(features[name], h))


class InferenceLayer(TwoPaths):
    """The deterministic paths of layer i of the guide and, where i < L, its posteriors.

    Args:
        stage: layer i.
        below: shape of the features of the layer below, or of the image.
        z_bu: event shape of z_{i-1}^BU, none at the first layer.
        h: shape of d_p_{i+1}; none at the top.
        block: makes the blocks of inference.
        block_p: makes the merge, which belongs to the generative features.
        heads: make the posteriors.
    """

    def __init__(
        self,
        stage: Stage,
        below: Shape,
        *,
        z_bu: Shape | None,
        h: Shape | None,
        block: Block = GatedResNet,
        block_p: Block = GatedResNet,
        heads: Heads | None = None,
    ) -> None:
        super().__init__(stage, below, z_bu, block=block)
        self.posterior_bu = None
        if h:
            heads, features = heads or Heads(), self.out_shape
            self.posterior_bu = heads(stage, features, stage.event(features))
            self.merge = block_p(features, features, aux_shape=h)
            self.posterior_td = heads(stage, features, stage.event(features))


def biva(
    image_shape: Shape,
    stages: Sequence[Stage],
    *,
    dropout_q: float = 0.0,
    dropout_p: float = 0.0,
    skips: bool = True,
    block: Block = GatedResNet,
    scale: Callable[[Tensor], Tensor] = softplus_scale,
    likelihood: Callable[..., nn.Module] = BernoulliLikelihood,
) -> tuple[BIVA, BIVAGuide]:
    """BIVA: model and guide.

    Args:
        image_shape: (C, H, W).
        stages: layers 1 ... L, L >= 2.
        dropout_q: probability in the inference blocks.
        dropout_p: probability in the generative blocks.
        skips: the generative skip connections; without them p(z_i | z_>i) = p(z_i | z_{i+1}).
        block: makes a residual block, see `zoo.nn.stages`; takes ``dropout`` as well.
        scale: of priors and posteriors, see `Heads`.
        likelihood: made of a network and the image's shape.

    Raises:
        ValueError: with fewer than two stages.
    """
    if len(stages) < 2:
        raise ValueError(f"BIVA needs at least two stages, else it is a VAE; got {len(stages)}")
    block_q, block_p = partial(block, dropout=dropout_q), partial(block, dropout=dropout_p)
    shared: Any = {"block": block_p, "heads": Heads(scale)}
    model = generative(BIVA, image_shape, stages, likelihood, parts=("_bu", "_td"), skips=skips, **shared)
    layers, top = inference(image_shape, stages, block_q, block_p, Heads(scale))
    return model, BIVAGuide(layers, top, model=model)


def inference(
    image_shape: Shape, stages: Sequence[Stage], block: Block, block_p: Block, heads: Heads
) -> tuple[list[InferenceLayer], nn.Module]:
    """The parts of the guide q(z | x)."""
    shapes = feature_shapes(image_shape, stages)
    above = [*generative_features(image_shape, stages)[1:], None]  # d_p_{i+1}
    events = [stage.event(shape) for stage, shape in zip(stages, shapes[1:], strict=True)]
    parts: Any = {"block": block, "block_p": block_p, "heads": heads}
    layers = [
        InferenceLayer(stage, below, z_bu=z_bu, h=h, **parts)
        for stage, below, z_bu, h in zip(stages, shapes[:-1], [None, *events[:-1]], above, strict=True)
    ]
    return layers, two_path_top(stages[-1], shapes[-1], block, heads)
