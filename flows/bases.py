r"""Matrices Q of D rows and M orthonormal columns, for Householder and Sylvester flows.

A basis has ``columns(D)``, M, and ``initial(D)``, the P unconstrained parameters to start from.
``frame(parameters, D)`` is computed from them, (\*batch, P), once for both products: ``into(frame, x)`` is
Q^T x, (\*batch, M), and ``back(frame, a)`` is Q a, (\*batch, D).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Basis(Protocol):
    """Protocol of bases; see the module's docstring."""

    def columns(self, size: int) -> int:
        """M for D = `size`."""

    def initial(self, size: int) -> Tensor:
        """Parameters to start from, (P,)."""

    def frame(self, parameters: Tensor, size: int) -> Tensor:
        """Whatever the products need."""

    def into(self, frame: Tensor, x: Tensor) -> Tensor:
        """Q^T x."""

    def back(self, frame: Tensor, a: Tensor) -> Tensor:
        """Q a."""


@dataclass(frozen=True)
class Orthogonal:
    """Any M orthonormal columns: the orthogonal factor of a D x M matrix.

    By a QR decomposition, exact up to rounding; the paper (arXiv:1803.05649, section 4.1) iterates.

    Attributes:
        count: M, at most D.
    """

    count: int

    def columns(self, size: int) -> int:
        """M.

        Raises:
            ValueError: if there are more columns than rows.
        """
        if not 1 <= self.count <= size:
            raise ValueError(
                f"expected 1 to {size} orthonormal columns in {size} dimensions; got {self.count}"
            )
        return self.count

    def initial(self, size: int) -> Tensor:
        """A normal matrix, flattened, (D M,)."""
        return torch.randn(size * self.columns(size))

    def frame(self, parameters: Tensor, size: int) -> Tensor:
        """Q, (..., D, M)."""
        return torch.linalg.qr(parameters.unflatten(-1, (size, self.count))).Q

    def into(self, frame: Tensor, x: Tensor) -> Tensor:
        """Q^T x, (..., M)."""
        return (frame * x.unsqueeze(-1)).sum(-2)

    def back(self, frame: Tensor, a: Tensor) -> Tensor:
        """Q a, (..., D)."""
        return product(frame, a)


@dataclass(frozen=True)
class Reflections:
    """A product of Householder reflections, M = D: Q = H_K ... H_1, H = I - 2 v v^T / |v|^2.

    Attributes:
        count: K, at least 1. A reflection of v = 0 is the identity.

    Raises:
        ValueError: without a reflection.
    """

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"expected at least one reflection; got {self.count}")

    def columns(self, size: int) -> int:
        """D."""
        return size

    def initial(self, size: int) -> Tensor:
        """Normal vectors v, flattened, (K D,)."""
        return torch.randn(self.count * size)

    def frame(self, parameters: Tensor, size: int) -> Tensor:
        """V / |v|, (..., K, D)."""
        return F.normalize(parameters.unflatten(-1, (self.count, size)), dim=-1)

    def into(self, frame: Tensor, x: Tensor) -> Tensor:
        """Q^T x, (..., D): the reflections in reverse."""
        for v in reversed(frame.unbind(-2)):
            x = _reflected(x, v)
        return x

    def back(self, frame: Tensor, a: Tensor) -> Tensor:
        """Q a, (..., D)."""
        for v in frame.unbind(-2):
            a = _reflected(a, v)
        return a


@dataclass(frozen=True)
class Axes:
    """The identity, or the permutation that reverses the order of the elements; no parameters.

    Attributes:
        reverse: whether it is the permutation.
    """

    reverse: bool = False

    def columns(self, size: int) -> int:
        """D."""
        return size

    def initial(self, size: int) -> Tensor:
        """None, (0,)."""
        return torch.empty(0)

    def frame(self, parameters: Tensor, size: int) -> Tensor:
        """Nothing is needed."""
        return parameters

    def into(self, frame: Tensor, x: Tensor) -> Tensor:
        """Q^T x, (..., D)."""
        return x.flip(-1) if self.reverse else x

    def back(self, frame: Tensor, a: Tensor) -> Tensor:
        """Q a, (..., D)."""
        return self.into(frame, a)


def product(matrix: Tensor, vector: Tensor) -> Tensor:
    """(..., D, M), (..., M) -> (..., D), in the tensors' own precision under autocast, too."""
    return (matrix * vector.unsqueeze(-2)).sum(-1)


def _reflected(x: Tensor, v: Tensor) -> Tensor:
    return x - 2 * v * (v * x).sum(-1, keepdim=True)
