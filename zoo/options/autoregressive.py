"""The sizes of the autoregressive models of images."""

import dataclasses
import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar

from zoo.options.likelihood import LikelihoodOptions
from zoo.settings import require


@dataclass(frozen=True)
class AutoregressiveOptions:
    """What all of them have.

    The channels of a pixel are drawn one after the other, R, G, B, unless a logistic mixture couples them.

    Attributes:
        network_class: the network's name in `zoo.nn.causal`; every option of an argument's name is one.
        odd: the options that are odd numbers.
        channels: of the hidden layers.
        likelihood_options: see `LikelihoodOptions`.
    """

    network_class: ClassVar[str]
    odd: ClassVar[tuple[str, ...]] = ()
    channels: int = 16
    likelihood_options: LikelihoodOptions = field(default_factory=LikelihoodOptions)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        for name in (f.name for f in dataclasses.fields(self)):
            size = getattr(self, name)
            require(not isinstance(size, int) or size >= 1, f"{name} >= 1", size)
        for name in self.odd:
            kernel = getattr(self, name)
            require(kernel % 2 == 1, f"an odd {name}", kernel)

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
        return make(image_shape, features, context=context, **self._groups(image_shape[0]), **sizes)

    def _groups(self, channels: int) -> dict[str, int]:
        return {"groups": 1 if self.likelihood_options.likelihood == "logistic_mixture" else channels}


@dataclass(frozen=True)
class PixelCNNOptions(AutoregressiveOptions):
    """PixelCNN; channels is the published h, half the width of the residual stream.

    Attributes:
        blocks: residual blocks.
        kernel: of the first layer.
        head: channels of the last hidden layer.
    """

    network_class: ClassVar[str] = "PixelCNN"
    odd: ClassVar[tuple[str, ...]] = ("kernel",)
    blocks: int = 7
    kernel: int = 7
    head: int = 32


@dataclass(frozen=True)
class GatedPixelCNNOptions(AutoregressiveOptions):
    """Gated PixelCNN.

    Attributes:
        layers: of both stacks.
        kernel: of the first layer.
        kernels: of the others.
        head: channels of the last hidden layer.
    """

    network_class: ClassVar[str] = "GatedPixelCNN"
    odd: ClassVar[tuple[str, ...]] = ("kernel", "kernels")
    layers: int = 8
    kernel: int = 7
    kernels: int = 3
    head: int = 32


@dataclass(frozen=True)
class PixelCNNppOptions(AutoregressiveOptions):
    """PixelCNN++: images of one channel, or of colours by a logistic mixture.

    Attributes:
        resnets: blocks of each stream at each resolution of the way up.
        resolutions: one more than the times the resolution is halved.
        dropout: probability, in the blocks.
    """

    network_class: ClassVar[str] = "PixelCNNpp"
    resnets: int = 3
    resolutions: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        super().__post_init__()
        require(0 <= self.dropout < 1, "0 <= dropout < 1", self.dropout)

    def _groups(self, channels: int) -> dict[str, int]:
        """None: the network draws the channels of a pixel at once."""
        likelihood = self.likelihood_options.likelihood
        require(
            channels == 1 or likelihood == "logistic_mixture",
            f"likelihood=logistic_mixture for {channels} channels, which PixelCNN++ draws at once",
            likelihood,
        )
        return {}


@dataclass(frozen=True)
class PixelRNNOptions(AutoregressiveOptions):
    """What both PixelRNNs have; channels is the published h, the size of a state.

    Attributes:
        layers: of LSTMs.
        kernel: of the first layer.
        head: channels of the last hidden layer.
    """

    odd: ClassVar[tuple[str, ...]] = ("kernel",)
    layers: int = 7
    kernel: int = 7
    head: int = 32


@dataclass(frozen=True)
class RowLSTMOptions(PixelRNNOptions):
    """Row LSTM."""

    network_class: ClassVar[str] = "RowLSTM"


@dataclass(frozen=True)
class DiagonalBiLSTMOptions(PixelRNNOptions):
    """Diagonal BiLSTM."""

    network_class: ClassVar[str] = "DiagonalBiLSTM"


@dataclass(frozen=True)
class WaveNetOptions(AutoregressiveOptions):
    """WaveNet over an image's pixels in raster order.

    Attributes:
        dilations: of the layers.
        kernel: taps of their convolutions.
        skip: channels of the sum over the layers.
        head: channels of the last hidden layer.
    """

    network_class: ClassVar[str] = "WaveNet"
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    kernel: int = 2
    skip: int = 32
    head: int = 32

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        super().__post_init__()
        require(min(self.dilations, default=0) >= 1, "dilations >= 1", self.dilations)
