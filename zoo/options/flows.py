"""The sizes of the densities made of flows."""

import importlib
from dataclasses import dataclass
from typing import Any

from zoo.errors import UsageError
from zoo.settings import require


@dataclass(frozen=True)
class FlowOptions:
    """What all of them have.

    Attributes:
        levels: grey levels of the sub-pixels; the data must have as many.
        alpha: of the logit of the pixels (`flows.Logit`).
    """

    levels: int = 256
    alpha: float = 0.05

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        require(2 <= self.levels <= 256, "2 <= levels <= 256", self.levels)
        require(0 <= self.alpha < 0.5, "0 <= alpha < 0.5", self.alpha)
        for name in ("hidden", "layers"):
            sizes = getattr(self, name, 1)
            sizes = sizes if isinstance(sizes, tuple) else (sizes,)
            require(min(sizes, default=1) >= 1, f"{name} >= 1", getattr(self, name, None))
        for name in ("scales", "steps", "components", "width", "blocks", "noise_channels"):
            size = getattr(self, name, None)
            require(size is None or size >= 1, f"{name} >= 1", size)

    @property
    def takes(self) -> str:
        """The encoding of the images: pixels k / (levels - 1)."""
        return "unit"

    def _build(self, module: str, image_shape: tuple[int, int, int], **sizes: Any) -> tuple[Any, Any]:
        """Model and guide of `zoo.models`.

        Raises:
            UsageError: if there is no such flow of images of that shape.
        """
        make = getattr(importlib.import_module(f"zoo.models.{module}"), module)
        try:
            pair: tuple[Any, Any] = make(image_shape, levels=self.levels, alpha=self.alpha, **sizes)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return pair


@dataclass(frozen=True)
class NICEOptions(FlowOptions):
    """Additive couplings.

    Attributes:
        layers: couplings.
        hidden: widths of each network.
    """

    layers: int = 4
    hidden: tuple[int, ...] = (256, 256)

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        return self._build("nice", image_shape, layers=self.layers, hidden=self.hidden)


@dataclass(frozen=True)
class RealNVPOptions(FlowOptions):
    """Affine couplings over several scales.

    Attributes:
        layers: couplings in a group.
        scales: none: as many as fit, at most 3.
        hidden: channels of each network.
    """

    layers: int = 3
    scales: int | None = None
    hidden: tuple[int, ...] = (64, 64)

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        return self._build(
            "real_nvp", image_shape, layers=self.layers, scales=self.scales, hidden=self.hidden
        )


@dataclass(frozen=True)
class GlowOptions(FlowOptions):
    """Steps of normalisation, 1x1 convolution and affine coupling over several scales.

    Attributes:
        steps: of a scale.
        scales: none: as many as fit, at most 3.
        hidden: channels of each network.
    """

    steps: int = 8
    scales: int | None = None
    hidden: tuple[int, ...] = (64, 64)

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        return self._build("glow", image_shape, steps=self.steps, scales=self.scales, hidden=self.hidden)


@dataclass(frozen=True)
class FlowPlusPlusOptions(FlowOptions):
    """Couplings of mixtures of logistics, and variational dequantisation.

    Attributes:
        layers: couplings of checkerboards, of channels after a squeeze, and of checkerboards there.
        components: of the mixtures.
        width: channels of the networks.
        blocks: of each network.
        heads: of their attention; 0 for none.
        noise_layers: couplings of the noise; 0 for uniform noise.
        noise_channels: of its networks.
        noise_components: of its mixtures.
    """

    layers: tuple[int, ...] = (4, 2, 3)
    components: int = 4
    width: int = 32
    blocks: int = 1
    heads: int = 0
    noise_layers: int = 4
    noise_channels: int = 32
    noise_components: int = 4

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        super().__post_init__()
        require(len(self.layers) == 3, "three numbers of layers", self.layers)
        require(self.heads >= 0, "heads >= 0", self.heads)
        require(self.noise_layers >= 0, "noise_layers >= 0", self.noise_layers)
        require(self.noise_components >= 1, "noise_components >= 1", self.noise_components)

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        return self._build(
            "flow_plus_plus",
            image_shape,
            layers=self.layers,
            components=self.components,
            width=self.width,
            blocks=self.blocks,
            heads=self.heads,
            noise=self._noise(image_shape),
        )

    def _noise(self, image_shape: tuple[int, int, int]) -> Any:
        from zoo.models.flow_plus_plus import coupled_noise

        if not self.noise_layers:
            return None
        try:
            return coupled_noise(
                image_shape,
                layers=self.noise_layers,
                channels=self.noise_channels,
                components=self.noise_components,
            )
        except ValueError as error:
            raise UsageError(str(error)) from error


@dataclass(frozen=True)
class MAFOptions(FlowOptions):
    """Masked autoregressive layers.

    Attributes:
        layers: how many, the order of the pixels reversed from one to the next.
        hidden: widths of each network.
    """

    layers: int = 5
    hidden: tuple[int, ...] = (256, 256)

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        return self._build("maf", image_shape, layers=self.layers, hidden=self.hidden)
