"""The inverse of a univariate map."""

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
        """Number of parameters per element, the original's."""
        return self.original.size

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """X and log dx/dy of the original's inverse."""
        return self.original.inverse(x, parameters)

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Y and log dy/dx of the original."""
        return self.original(y, parameters)
