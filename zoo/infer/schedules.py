"""Numbers that change with the training step: pure functions of it, so that a resumed run agrees."""

from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[int], float]


def value_at(value: float | Schedule, step: int) -> float:
    """A number that may be scheduled, at `step`."""
    return value(step) if callable(value) else value


@dataclass(frozen=True)
class LinearWarmup:
    """From 1/steps at step 0 linearly to 1 at step `steps` - 1, and 1 from then on (arXiv:1602.02282)."""

    steps: int

    def __call__(self, step: int) -> float:
        """The factor at `step`."""
        return min(1.0, (step + 1) / self.steps) if self.steps > 0 else 1.0


@dataclass(frozen=True)
class Until:
    """`value` for the first `steps` steps, 0 from then on: free bits, then finetuning without them."""

    value: float
    steps: int

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        return self.value if step < self.steps else 0.0


@dataclass(frozen=True)
class GeometricDecay:
    """initial * factor^step, not below `floor`: BIVA's learning rate (arXiv:1902.02102)."""

    initial: float
    factor: float = 1.0
    floor: float = 0.0

    def __call__(self, step: int) -> float:
        """The value at `step`."""
        return max(self.floor, self.initial * self.factor**step)
