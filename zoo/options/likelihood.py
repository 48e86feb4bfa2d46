"""Which likelihood an image model has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from zoo.settings import require


@dataclass(frozen=True)
class LikelihoodOptions:
    """Bernoulli for binary images; for grey levels and colours discretized logistics or a softmax.

    Attributes:
        likelihood: which family the pixels are of.
        components: of a logistic mixture.
        levels: grey levels of the sub-pixels where they are not binary; the data must have as many.
    """

    likelihood: Literal["bernoulli", "logistic_mixture", "categorical"] = "bernoulli"
    components: int = 5
    levels: int = 256

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        require(self.components >= 1, "components >= 1", self.components)
        require(self.levels >= 2, "levels >= 2", self.levels)

    @property
    def takes(self) -> str:
        """The encoding of the images (`zoo.data.encodings`)."""
        return "binary" if self.likelihood == "bernoulli" else "grid"

    def family(self, channels: int) -> Any:
        """The family of the pixels (`zoo.parts.families`)."""
        from zoo.parts.families import Bernoullis, Categoricals, LogisticMixtures

        if self.likelihood == "bernoulli":
            return Bernoullis(channels)
        if self.likelihood == "categorical":
            return Categoricals(channels, self.levels)
        return LogisticMixtures(channels, self.components, self.levels)

    def build(self) -> Callable[..., Any]:
        """The likelihood, still to be given its network and the image's shape."""
        from zoo.parts.likelihoods import PixelLikelihood

        return lambda net, image_shape: PixelLikelihood(net, image_shape, self.family(image_shape[0]))
