"""BIVA with a label (Maaløe, Fraccaro, Liévin, Winther 2019), arXiv:1902.02102, for semi-supervised learning.

p(x, y, z)  = p(y) p(z) p(x | z, y)
q(y, z | x) = prod_{i<L} q(z_i^BU | x, z_<i^BU)  q(y | x, z_<L^BU)
              q(z_L | x, y, z_<L^BU)  prod_{i<L} q(z_i^TD | x, y, z_<i^BU, z_>i)

p(z) and the bottom-up half of q are BIVA's (`zoo.models.biva`); the site ``y`` is one-hot. The classifier
reads the top of both paths of inference, (d_bu_L, d_td_L). The posteriors that answer while the model runs
see y as a feature map, added to what they read from below:

    top:      head(joined(d_bu_L, d_td_L) + map_L(y))
    merge:    block(d_td_i + map_i(y); aux = d_p_{i+1})
    image:    likelihood(block(d_p_1; aux = map_0(y)))
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyro
import pyro.poutine as poutine
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo.choices import Likelihood
from zoo.conversion import Probability
from zoo.infer.guides import Guide
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.models.biva import BIVAGuide, biva
from zoo.models.hierarchy import Hierarchy
from zoo.nn.activations import ELU
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.layers import Shape, Shaped, project
from zoo.nn.stages import Block, Stage
from zoo.parts.labels import Classes, LabelHead, UniformLabels
from zoo.parts.likelihoods import BernoulliLikelihood
from zoo.settings import passes_on


class SemiSupervisedBIVA(Program):
    """p(x, y, z) = p(y) p(z) p(x | z, y).

    Args:
        label: called with nothing, returns p(y), one-hot.
        hierarchy: has the latents; its likelihood is called with (d_p_1, y).
    """

    def __init__(self, label: nn.Module, hierarchy: Hierarchy) -> None:
        super().__init__()
        self.label, self.hierarchy = label, hierarchy

    @property
    def likelihood(self) -> nn.Module:
        """p(x | d_p_1, y)."""
        return self.hierarchy.likelihood

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        n = batch_size(x, n)
        with batch_plate():
            y = latent("y", independent_copies(self.label(), n))  # p(y)
            with shown(y):
                d = self.hierarchy.latents(n)  # p(z)
            return pyro.sample("x", self.hierarchy.likelihood((d, y)), obs=x)  # p(x | z, y)


def shown(y: Tensor) -> Any:
    """Shows the guide (h, y) at every latent in place of the features h."""
    return poutine.infer_config(config_fn=lambda site: {**site["infer"], "h": (site["infer"].get("h"), y)})


class SemiSupervisedBIVAGuide(Guide):
    """q(y, z | x): BIVA's bottom-up sampling, then answers on the model's way down.

    Args:
        biva: whose parts these are.
        label: head, q(y | joined(d_bu_L, d_td_L)).
        maps: for each latent answered on the way down: y (B, C) to a map like the features it reads.
        model: see `Guide`.
    """

    def __init__(
        self, biva: BIVAGuide, label: nn.Module, maps: Mapping[str, nn.Module], *, model: Any = None
    ) -> None:
        super().__init__(model)
        self.biva, self.label, self.maps = biva, label, nn.ModuleDict(maps)

    def encode(self, x: Tensor) -> Any:
        """BIVA's."""
        return self.biva.encode(x)

    def bottom_up(self, features: Any) -> dict[str, Tensor]:
        """BIVA's: sample every z_i^BU."""
        return self.biva.bottom_up(features)

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(y | x, z_<L^BU), or BIVA's posterior with y added to the features of `name`."""
        if name == "y":
            return self.label(features[f"z_{len(self.biva.layers)}"])
        h, y = h
        return self.biva.posterior(name, prior, h, {name: features[name] + self.maps[name](y)})


class LabelConditioned(nn.Module):
    """net(block(d; aux = map(y))): features of an image that know its label.

    Args:
        net: of features of shape ``net.out_shape``, (C, H, W).
        classes: of y.
        block: makes a block.
    """

    def __init__(self, net: Any, classes: int, *, block: Block = GatedResNet) -> None:
        super().__init__()
        self.out_shape = shape = tuple(net.out_shape)
        self.map = project((classes,), shape)
        self.block = block(shape, shape, aux_shape=shape)
        self.net = net

    def forward(self, both: tuple[Tensor, Tensor]) -> Tensor:
        """Features of (d, y)."""
        d, y = both
        return self.net(self.block(d, self.map(y)))


@passes_on(biva)
def semi_supervised_biva(
    image_shape: Shape,
    stages: Sequence[Stage],
    *,
    classes: Classes = 10,
    likelihood: Likelihood = BernoulliLikelihood,
    block: Block = GatedResNet,
    dropout_p: Probability = 0.0,
    **options: Any,
) -> tuple[SemiSupervisedBIVA, SemiSupervisedBIVAGuide]:
    """BIVA with a label: model and guide.

    Args:
        image_shape: (C, H, W).
        stages: layers 1 ... L, L >= 2.
        classes: C, the number of classes.
        likelihood: makes p(x | z, y) from a network and the image's shape.
        block: makes a residual block, see `zoo.nn.stages`.
        dropout_p: probability in the blocks of generation, the merges among them.
        options: of `zoo.models.biva.biva`, the others.
    """

    def labelled(net: Any, shape: Shape) -> nn.Module:
        return likelihood(LabelConditioned(net, classes, block=partial(block, dropout=dropout_p)), shape)

    hierarchy, guide = biva(
        image_shape, stages, likelihood=labelled, block=block, dropout_p=dropout_p, **options
    )
    model = SemiSupervisedBIVA(UniformLabels(classes), hierarchy)
    shapes = _read_from_below(guide)
    top = shapes[f"z_{len(guide.layers)}"]
    label = LabelHead(Shaped(top, ELU()), classes)
    maps = {name: project((classes,), shape) for name, shape in shapes.items()}
    return model, SemiSupervisedBIVAGuide(guide, label, maps, model=model)


def _read_from_below(guide: BIVAGuide) -> dict[str, Shape]:
    """By site, the shape of what each posterior reads of the features from below."""
    *lower, top = [layer.out_shape for layer in guide.layers]
    shapes = {f"z_{i}_td": shape for i, shape in enumerate(lower, 1)}
    return {**shapes, f"z_{len(lower) + 1}": (2 * top[0], *top[1:])}
