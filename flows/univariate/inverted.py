"""A univariate map the other way round."""

from dataclasses import dataclass

from torch import Tensor

from flows.univariate.univariate import Univariate


@dataclass(frozen=True)
class Inverted:
    """The inverse of a univariate map, with the same parameters.

    Attributes:
        original: the map.
    """

    original: Univariate

    @property
    def size(self) -> int:
        """The original's."""
        return self.original.size

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """The original's inverse."""
        return self.original.inverse(x, parameters)

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """The original."""
        return self.original(y, parameters)
