"""Likelihoods: modules that, called with features h, return p(x | h) over images of event shape (C, H, W)."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from distributions import Autoregressive
from zoo.choices import Part
from zoo.nn.layers import Shape, out_shape_of, project
from zoo.parts.families import (
    Categoricals,
    ContinuousBernoullis,
    Gaussians,
    LogisticMixtures,
    Logistics,
    bernoulli,
)
from zoo.settings import require


class LikelihoodModule(nn.Module):
    """What a model reads of a likelihood besides p(x | h).

    Attributes:
        takes: the encoding of the images that it is a density of: "binary", "grid" or "unit"
            (`zoo.data.encodings`).
        levels: grey levels of the sub-pixels, where they are not binary.
    """

    takes: str = "binary"
    levels: int | None = None


class BernoulliLikelihood(LikelihoodModule):
    """p(x | h) = prod_i Bernoulli(x_i; sigmoid(logits_i)), x binary, {0, 1}.

    Args:
        net: features h to logits (B, C, H, W); or to other features, where `image_shape` is given.
        image_shape: (C, H, W), to which the features of `net`, of shape ``net.out_shape``, are projected.
        starts_at_images: whether a run starts the output at the mean of its training images, see `start_at`.
    """

    def __init__(self, net: Any, image_shape: Shape | None = None, *, starts_at_images: bool = False) -> None:
        super().__init__()
        self.net, self.starts_at_images = net, starts_at_images
        self.project = project(out_shape_of(net), image_shape) if image_shape else nn.Identity()

    def forward(self, h: Any) -> Any:
        """p(x | h), batch shape (B,)."""
        return bernoulli(self.project(self.net(h)))

    @torch.no_grad()
    def start_at(self, images: Tensor) -> None:
        """Start the output at the mean image: bias = logit(mean), pixels' means kept in [0.001, 0.999].

        As the published code of IWAE does (arXiv:1509.00519), for a likelihood with a dense output.

        Args:
            images: binary or in [0, 1], (N, C, H, W), all of the training set or many of it.

        Raises:
            ValueError: if the output is not a linear layer with a bias.
        """
        outputs = [layer for layer in self.project.modules() if isinstance(layer, nn.Linear)]
        if len(outputs) != 1 or outputs[0].bias is None:
            raise ValueError("expected a likelihood whose output is one linear layer with a bias")
        mean = images.mean(0).clamp(1e-3, 1 - 1e-3).logit()
        outputs[0].bias.copy_(mean.flatten())


class FamilyLikelihood(LikelihoodModule):
    """p(x | h) of any family (`zoo.parts.families`), pixels independent given h.

    Args:
        net: h to the family's features, (B, family.size, H, W).
        family: of the pixels.
    """

    def __init__(self, net: nn.Module, family: Any) -> None:
        super().__init__()
        self.net, self.family = net, family
        self.takes, self.levels = family.takes, getattr(family, "levels", None)

    def forward(self, h: Any) -> Any:
        """p(x | h), batch shape (B,)."""
        return self.family(self.net(h))


class PixelLikelihood(FamilyLikelihood):
    """A `FamilyLikelihood` whose network may have any number of features: they are projected to the family's.

    Args:
        net: h to features of shape ``net.out_shape``, of the image's resolution.
        image_shape: (C, H, W).
        family: of the pixels.
    """

    def __init__(self, net: Any, image_shape: Shape, family: Any) -> None:
        super().__init__(net, family)
        self.project = project(out_shape_of(net), (family.size, *image_shape[1:]))

    def forward(self, h: Any) -> Any:
        """p(x | h), batch shape (B,)."""
        return self.family(self.project(self.net(h)))


class LogisticMixtureLikelihood(PixelLikelihood):
    """p(x | h): a mixture of discretised logistics, x on the grid 2k/(levels-1) - 1.

    PixelCNN++'s likelihood (Salimans et al. 2017, arXiv:1701.05517); see `zoo.LogisticMixtures`.

    Args:
        net: see `PixelLikelihood`.
        image_shape: (C, H, W).
        components: K, their number.
        levels: grey levels of a sub-pixel.
        min_log_scale: floor of the log scales; PixelCNN++ has -7.
    """

    def __init__(
        self,
        net: Any,
        image_shape: Shape,
        *,
        components: int = 10,
        levels: int = 256,
        min_log_scale: float = -7.0,
    ) -> None:
        family = LogisticMixtures(image_shape[0], components, levels, min_log_scale)
        super().__init__(net, image_shape, family)


class CategoricalLikelihood(PixelLikelihood):
    """p(x | h): a softmax over the grey levels of every sub-pixel, x on the grid 2k/(levels-1) - 1.

    Args:
        net: see `PixelLikelihood`.
        image_shape: (C, H, W).
        levels: grey levels of a sub-pixel.
    """

    def __init__(self, net: Any, image_shape: Shape, *, levels: int = 256) -> None:
        super().__init__(net, image_shape, Categoricals(image_shape[0], levels))


class LogisticLikelihood(PixelLikelihood):
    """p(x | h): one discretised logistic per sub-pixel, x on the grid 2k/(levels-1) - 1.

    Args:
        net: see `PixelLikelihood`.
        image_shape: (C, H, W).
        levels: grey levels of a sub-pixel.
        min_log_scale: floor of the log scales.
    """

    def __init__(
        self, net: Any, image_shape: Shape, *, levels: int = 256, min_log_scale: float = -7.0
    ) -> None:
        super().__init__(net, image_shape, Logistics(image_shape[0], levels, min_log_scale))


class ContinuousBernoulliLikelihood(PixelLikelihood):
    """p(x | h): a continuous Bernoulli per sub-pixel, x in [0, 1]; see `zoo.ContinuousBernoullis`.

    Args:
        net: see `PixelLikelihood`.
        image_shape: (C, H, W).
    """

    def __init__(self, net: Any, image_shape: Shape) -> None:
        super().__init__(net, image_shape, ContinuousBernoullis(image_shape[0]))


class GaussianLikelihood(PixelLikelihood):
    """p(x | h): a normal per sub-pixel, x in [0, 1] as a real value; see `zoo.Gaussians`.

    Args:
        net: see `PixelLikelihood`.
        image_shape: (C, H, W).
        scale: of all sub-pixels; None for one each, from the network.

    Raises:
        UsageError: if the scale is not positive.
    """

    def __init__(self, net: Any, image_shape: Shape, *, scale: float | None = None) -> None:
        require(scale is None or scale > 0, "scale > 0, or none", scale)
        super().__init__(net, image_shape, Gaussians(image_shape[0], scale))


class AutoregressiveLikelihood(LikelihoodModule):
    """p(x | h) = prod_i p(x_i | x_<i, net(h)): PixelVAE's decoder (Gulrajani et al. 2016, arXiv:1611.05013).

    Without `net` and called with nothing, it is a prior over maps or a density of images.

    Args:
        network: a causal network (`zoo.nn.causal`), made for a context of the shape that `net` returns.
        family: of the pixels (`zoo.parts.families`), of as many features as the network returns.
        net: h to the context; h itself is the context by default.

    Raises:
        ValueError: if the network's features are not as many as the family takes.
    """

    def __init__(self, network: Any, family: Any, *, net: nn.Module | None = None) -> None:
        super().__init__()
        if network.out_shape[0] != family.size:
            raise ValueError(
                f"{type(family).__name__} takes {family.size} features per pixel; the network returns "
                f"{network.out_shape[0]}: make it with features={family.size}"
            )
        self.network, self.family, self.net = network, family, net
        self.takes, self.levels = family.takes, getattr(family, "levels", None)

    def forward(self, *h: Any) -> Autoregressive:
        """p(x | h), batch shape (B,); p(x), batch shape (), without h."""
        context = self.net(*h) if self.net is not None else next(iter(h), None)
        return Autoregressive(self.network, self.family, context=context)


def causal_network(network: Part, image_shape: Shape, family: Any, *, context: Any = None) -> Any:
    """A causal network of the features that a family of pixels takes.

    Args:
        network: a class of `zoo.nn.causal`, or a partial of one.
        image_shape: (C, H, W).
        family: of the pixels (`zoo.parts.families`).
        context: shape of what the network is conditional on, if it is.

    Raises:
        ValueError: if the network draws all channels of a pixel at once and the family does not couple them.
    """
    options = {"groups": family.groups} if "groups" in inspect.signature(network).parameters else {}
    if family.groups > 1 and not options:
        raise ValueError(
            f"this network draws the {image_shape[0]} channels of a pixel at once: take "
            "likelihood=logistic_mixture, which couples them"
        )
    return network(image_shape, family.size, context=context, **options)
