"""The sizes of the autoregressive models of images."""

import dataclasses
import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar

from zoo.options.likelihood import LikelihoodOptions
from zoo.options.typed import require


@dataclass(frozen=True)
class AutoregressiveOptions:
    """What all of them have.

    The channels of a pixel are drawn one after the other, R, G, B, unless a logistic mixture couples them.

    Attributes:
        network_class: the network's name.
        channels: of the hidden layers; the published h.
        head: channels of the last hidden layer.
        likelihood_options: see `LikelihoodOptions`.
    """

    network_class: ClassVar[str]
    channels: int = 16
    head: int = 32
    likelihood_options: LikelihoodOptions = field(default_factory=LikelihoodOptions)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        for name in ("channels", "head", "layers", "blocks", "resnets", "resolutions"):
            size = getattr(self, name, 1)
            require(size >= 1, f"{name} >= 1", size)
        for name in ("kernel", "kernels"):
            kernel = getattr(self, name, 1)
            require(kernel >= 1 and kernel % 2 == 1, f"an odd {name}", kernel)

    @property
    def takes(self) -> str:
        """The encoding of the images: the likelihood's."""
        return self.likelihood_options.takes

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        from zoo.models.autoregressive import autoregressive

        family = self.likelihood_options.family(image_shape[0])
        return autoregressive(self.network(image_shape, family.size), family)

    def network(self, image_shape: tuple[int, int, int], features: int, *, context: Any = None) -> Any:
        """The network of `zoo.nn.causal` of these sizes, perhaps conditional."""
        from zoo.nn import causal

        make = getattr(causal, self.network_class)
        taken = inspect.signature(make).parameters
        sizes = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name in taken}
        groups = 1 if self.likelihood_options.likelihood == "logistic_mixture" else image_shape[0]
        return make(image_shape, features, groups=groups, context=context, **sizes)


@dataclass(frozen=True)
class PixelCNNOptions(AutoregressiveOptions):
    """PixelCNN.

    Attributes:
        blocks: residual blocks.
        kernel: of the first layer.
    """

    network_class: ClassVar[str] = "PixelCNN"
    blocks: int = 7
    kernel: int = 7


@dataclass(frozen=True)
class GatedPixelCNNOptions(AutoregressiveOptions):
    """Gated PixelCNN.

    Attributes:
        layers: of both stacks.
        kernel: of the first layer.
        kernels: of the others.
    """

    network_class: ClassVar[str] = "GatedPixelCNN"
    layers: int = 8
    kernel: int = 7
    kernels: int = 3
