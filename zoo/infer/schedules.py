"""Numbers that change with the training step: pure functions of it, so that a resumed run agrees."""

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
