"""What couplings and autoregressive flows are made of."""

from typing import Protocol

from torch import Tensor


class Univariate(Protocol):
    r"""An increasing map y = f(x; parameters), one element at a time.

    Attributes:
        size: P, the number of parameters an element; all zero, they make the map the identity.
    """

    @property
    def size(self) -> int:
        """P, the number of parameters per element."""

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        r"""Y and log dy/dx, each of x's shape, for parameters (P, \*x.shape)."""

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        r"""X and log dx/dy, each of y's shape, for parameters (P, \*y.shape)."""
