"""Which likelihood an image model has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from zoo.options.typed import require


@dataclass(frozen=True)
class LikelihoodOptions:
    """Bernoulli for binary images, a mixture of discretized logistics for grey levels and colours.

    Attributes:
        likelihood: which.
        components: of the mixture.
        levels: grey levels of the mixture's sub-pixels; the data must have as many.
    """

    likelihood: Literal["bernoulli", "logistic_mixture"] = "bernoulli"
    components: int = 5
    levels: int = 256

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        require(self.components >= 1, "components >= 1", self.components)
        require(self.levels >= 2, "levels >= 2", self.levels)

    def build(self) -> Callable[..., Any]:
        """The likelihood, still to be given its network and the image's shape."""
        from functools import partial

        from zoo.likelihoods import BernoulliLikelihood, LogisticMixtureLikelihood

        if self.likelihood == "bernoulli":
            return BernoulliLikelihood
        return partial(LogisticMixtureLikelihood, components=self.components, levels=self.levels)
