"""The sizes of a BIVA."""

from dataclasses import dataclass, field
from typing import Any

from zoo.options.likelihood import LikelihoodOptions
from zoo.options.typed import require


@dataclass(frozen=True)
class BIVAOptions:
    """The lists go from the layer nearest the image up and are of equal length.

    Attributes:
        latents: size of each of z_i's variables.
        strides: from the layer below to each layer.
        kernels: of each layer's blocks.
        filters: channels of every block.
        blocks: a layer.
        dropout_q: probability in the inference blocks.
        dropout_p: probability in the generative blocks.
        likelihood_options: see `LikelihoodOptions`.
    """

    latents: tuple[int, ...] = (16, 8, 4)
    strides: tuple[int, ...] = (2, 1, 2)
    kernels: tuple[int, ...] = (3, 3, 3)
    filters: int = 24
    blocks: int = 2
    dropout_q: float = 0.0
    dropout_p: float = 0.0
    likelihood_options: LikelihoodOptions = field(default_factory=LikelihoodOptions)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        lengths = (len(self.latents), len(self.strides), len(self.kernels))
        require(len(set(lengths)) == 1, "latents, strides and kernels of one length", lengths)
        require(len(self.latents) >= 2, "at least two layers", self.latents)
        for name in ("latents", "strides", "kernels"):
            require(min(getattr(self, name)) >= 1, f"{name} >= 1", getattr(self, name))
        require(all(k % 2 for k in self.kernels), "odd kernels", self.kernels)
        require(self.filters >= 1, "filters >= 1", self.filters)
        require(self.blocks >= 1, "blocks >= 1", self.blocks)
        for name in ("dropout_q", "dropout_p"):
            require(0 <= getattr(self, name) < 1, f"0 <= {name} < 1", getattr(self, name))

    @property
    def takes(self) -> str:
        """The encoding of the images: the likelihood's."""
        return self.likelihood_options.takes

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        from zoo.models.biva import Stage, biva

        stages = [
            Stage(latent, filters=self.filters, kernel=kernel, stride=stride, blocks=self.blocks)
            for latent, kernel, stride in zip(self.latents, self.kernels, self.strides, strict=True)
        ]
        return biva(
            image_shape,
            stages,
            dropout_q=self.dropout_q,
            dropout_p=self.dropout_p,
            likelihood=self.likelihood_options.build(),
        )
