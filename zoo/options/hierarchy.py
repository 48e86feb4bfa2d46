"""The sizes of a hierarchy of latent variables, and what BIVA, LVAE and the others make of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.options.likelihood import LikelihoodOptions
from zoo.settings import require


@dataclass(frozen=True)
class HierarchyOptions:
    """The lists go from the layer nearest the image up, and are of equal length or of one entry for all.

    Attributes:
        latents: size of each of z_i's variables: of the vector, or channels of the feature map.
        strides: from the layer below to each layer.
        kernels: of each layer's blocks.
        blocks: a layer.
        spatial: whether a layer's latents are feature maps.
        head_kernel: of the convolutions to feature maps' parameters; 0 for one as large as the map.
        filters: channels of every block.
        skips: the skip connections, see the model.
        dropout_q: probability in the inference blocks.
        dropout_p: probability in the generative blocks.
        scale: of priors and posteriors: free, or published, never below 1, as in BIVA's published codes.
        weight_norm: weight-normalised layers, initialised by data when a run begins.
        checkpoint_activations: less memory in training, for a second forward pass.
        likelihood_options: see `LikelihoodOptions`.
    """

    latents: tuple[int, ...] = (16, 8, 4)
    strides: tuple[int, ...] = (2, 1, 2)
    kernels: tuple[int, ...] = (3,)
    blocks: tuple[int, ...] = (2,)
    spatial: tuple[bool, ...] = (False,)
    head_kernel: int = 1
    filters: int = 24
    skips: bool = True
    dropout_q: float = 0.0
    dropout_p: float = 0.0
    scale: Literal["free", "published"] = "free"
    weight_norm: bool = False
    checkpoint_activations: bool = False
    likelihood_options: LikelihoodOptions = field(default_factory=LikelihoodOptions)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        layers = len(self.latents)
        require(layers >= self.fewest_layers, f"at least {self.fewest_layers} layers", self.latents)
        for name in ("strides", "kernels", "blocks", "spatial"):
            values = getattr(self, name)
            require(len(values) in (1, layers), f"{name} of one entry or one a layer, {layers}", values)
        for name in ("latents", "strides", "kernels", "blocks"):
            require(min(getattr(self, name)) >= 1, f"{name} >= 1", getattr(self, name))
        require(all(k % 2 for k in self.kernels), "odd kernels", self.kernels)
        require(self.head_kernel >= 0, "head_kernel >= 0", self.head_kernel)
        require(self.filters >= 1, "filters >= 1", self.filters)
        for name in ("dropout_q", "dropout_p"):
            require(0 <= getattr(self, name) < 1, f"0 <= {name} < 1", getattr(self, name))

    @property
    def fewest_layers(self) -> int:
        """Below this it is no such model."""
        return 1

    @property
    def takes(self) -> str:
        """The encoding of the images: the likelihood's."""
        return self.likelihood_options.takes

    def stages(self) -> list[Any]:
        """The layers' sizes (`zoo.nn.stages.Stage`)."""
        from zoo.nn.stages import Stage

        lists = (getattr(self, name) for name in ("latents", "strides", "kernels", "blocks", "spatial"))
        each = [values * len(self.latents) if len(values) == 1 else values for values in lists]
        return [
            Stage(
                latent,
                filters=self.filters,
                stride=stride,
                kernel=kernel,
                blocks=blocks,
                spatial=spatial,
                head_kernel=self.head_kernel,
            )
            for latent, stride, kernel, blocks, spatial in zip(*each, strict=True)
        ]

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        from zoo.nn.scales import softplus_scale, wide_softplus_scale

        programs = self.builder()(
            image_shape,
            self.stages(),
            dropout_q=self.dropout_q,
            dropout_p=self.dropout_p,
            skips=self.skips,
            scale=wide_softplus_scale if self.scale == "published" else softplus_scale,
            likelihood=self.likelihood_options.build(),
        )
        for program in programs:
            self._prepare(program)
        return programs

    def _prepare(self, program: Any) -> None:
        """Normalise weights and checkpoint activations, where asked to."""
        if self.weight_norm:
            from zoo.nn.weight_norm import weight_normalised

            weight_normalised(program)
        if self.checkpoint_activations:
            from zoo.nn.checkpointed import checkpoint_activations
            from zoo.nn.gated_resnet import GatedResNet
            from zoo.nn.layers import Shaped
            from zoo.nn.stages import Decoder, Upward

            # the paths, the merges, and the heads, whose normalised weights are most of what is kept
            checkpoint_activations(program, (Upward, Decoder, GatedResNet, Shaped))

    def builder(self) -> Callable[..., tuple[Any, Any]]:
        """What makes model and guide of the image's shape, stages and options."""
        raise NotImplementedError


@dataclass(frozen=True)
class BIVAOptions(HierarchyOptions):
    """See `zoo.models.biva`."""

    @property
    def fewest_layers(self) -> int:
        """With one layer it is a VAE."""
        return 2

    def builder(self) -> Callable[..., tuple[Any, Any]]:
        """`zoo.models.biva.biva`."""
        from zoo.models.biva import biva

        return biva


@dataclass(frozen=True)
class LadderVAEOptions(HierarchyOptions):
    """See `zoo.models.ladder_vae`.

    Attributes:
        merge: precision: the original, precision-weighted; learned: LVAE+ of BIVA's paper, or, without
            skips, its LVAE.
    """

    merge: Literal["precision", "learned"] = "learned"

    def builder(self) -> Callable[..., tuple[Any, Any]]:
        """`zoo.models.ladder_vae.lvae`, or `ladder_vae`."""
        from zoo.models.ladder_vae import ladder_vae, lvae

        return lvae if self.merge == "learned" else ladder_vae


@dataclass(frozen=True)
class HierarchicalVAEOptions(HierarchyOptions):
    """See `zoo.models.hierarchical_vae`."""

    def builder(self) -> Callable[..., tuple[Any, Any]]:
        """`zoo.models.hierarchical_vae.hierarchical_vae`."""
        from zoo.models.hierarchical_vae import hierarchical_vae

        return hierarchical_vae
