"""Numbers that change with the training step: pure functions of it, so that a resumed run agrees."""

import math
from dataclasses import dataclass


def linear_warmup(step: int, steps: int) -> float:
    """From 1/steps at step 0 linearly to 1 at step `steps` - 1, and 1 from then on (arXiv:1602.02282).

    >>> [linear_warmup(step, 4) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / steps) if steps > 0 else 1.0


@dataclass(frozen=True)
class GeometricDecay:
    """initial * factor^step, not below `floor`: BIVA's learning rate (arXiv:1902.02102)."""

    initial: float
    factor: float = 1.0
    floor: float = 0.0

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        return max(self.floor, self.initial * self.factor**step)


@dataclass(frozen=True)
class CosineDecay:
    """floor + (initial - floor) (1 + cos(pi step / steps)) / 2, and `floor` after `steps` (arXiv:1608.03983).

    >>> [round(CosineDecay(1.0, 4, 0.2)(step), 3) for step in range(6)]
    [1.0, 0.883, 0.6, 0.317, 0.2, 0.2]
    """

    initial: float
    steps: int
    floor: float = 0.0

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        done = min(1.0, step / max(1, self.steps))
        return self.floor + (self.initial - self.floor) * (1 + math.cos(math.pi * done)) / 2
