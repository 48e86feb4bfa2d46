"""The values that a quantised sub-pixel can take, as a constraint with an error message."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.distributions import constraints

# Share of a step by which a value may miss its level. With 256 levels float32 misses by 1e-5 of a
# step and float16 by 0.03, which pass; bfloat16 (0.25), images in [0, 1], 2 * x / 256 - 1 do not.
TOLERANCE = 0.05


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision, too coarse for 256 levels, and integers become float32; the rest stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Grid(constraints.Constraint):
    """The K equally spaced values x_k = 2k / (K - 1) - 1, k = 0..K-1, from -1 to 1.

    A level k stands for the bin [x_k - h, x_k + h) with h = 1 / (K - 1); the first bin reaches down
    to -∞ and the last one up to ∞. Levels are floats that hold whole numbers.

    Args:
        levels: K, at least 2; 256 for 8-bit images.

    Raises:
        ValueError: if ``levels`` is less than 2.

    >>> grid = Grid(3)
    >>> grid.value(torch.arange(3.0))
    tensor([-1.,  0.,  1.])
    >>> grid.check(torch.tensor([0.0, 0.3]))
    tensor([ True, False])
    """

    is_discrete = True
    event_dim = 0

    def __init__(self, levels: int) -> None:
        if levels < 2:
            raise ValueError(f"expected at least 2 levels; got {levels}")
        self.levels = levels
        self.last = levels - 1
        self.half_step = 1 / self.last

    def __repr__(self) -> str:
        return f"Grid(levels={self.levels})"

    def value(self, level: Tensor) -> Tensor:
        """x_k. The numerator is a whole number, so only the division rounds."""
        return (2 * level - self.last) / self.last

    def edge_above(self, level: Tensor) -> Tensor:
        """x_k + h, the very same float as the edge below level k + 1, so that bins leave no gap."""
        return (2 * level + 1 - self.last) / self.last

    def level(self, x: Tensor) -> Tensor:
        """The nearest level, also for x off the grid or beyond its ends; float32 or finer."""
        return self._position(x).round().clamp(0, self.last)

    def check(self, value: Tensor) -> Tensor:
        """Whether each value is within 5% of a step of a level; integers never are."""
        if not value.is_floating_point():
            return torch.zeros_like(value, dtype=torch.bool)
        return (self._position(value) - self.level(value)).abs() <= TOLERANCE

    def require(self, value: Tensor) -> None:
        """Checks all values. Costs a GPU synchronisation.

        Raises:
            ValueError: if a value is off the grid; names the grid, what came and the cure.
        """
        off = ~self.check(value)
        if off.any():
            raise ValueError(
                f"expected x on the grid 2k/{self.last} - 1, k = 0..{self.last}; got x = "
                f"{value[off][0].item():.6g} ({value.dtype}); "
                f"scale integer images 0..{self.last} with 2 * x / {self.last} - 1"
            )

    @contextmanager
    def explained(self, value: Tensor) -> Iterator[None]:
        """A block that validates a value: if it is off the grid, the error is that of `require`."""
        try:
            yield
        except ValueError:
            if isinstance(value, Tensor):
                self.require(value)
            raise

    def _position(self, x: Tensor) -> Tensor:
        return (at_least_float32(x) + 1) * (self.last / 2)
