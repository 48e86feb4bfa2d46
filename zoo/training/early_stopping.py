"""When a figure last rose, by which a run ends before its last step."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from zoo.errors import UsageError
from zoo.ranks import of_first
from zoo.training.options import TrainingOptions
from zoo.training.run_folder import RunFolder


class EarlyStopping:
    """The highest of the figures that were offered, and for how many steps none has been higher.

    >>> stopping = EarlyStopping()
    >>> for step, elbo in enumerate([-3.0, -1.0, -2.0, float("nan")]):
    ...     stopping.offer(step, elbo)
    >>> stopping.stale
    2
    """

    def __init__(self) -> None:
        self.highest, self.highest_at, self.offered_at = -math.inf, 0, 0

    @property
    def stale(self) -> int:
        """Steps from the highest figure, or the run's first step, to the last figure."""
        return self.offered_at - self.highest_at

    def offer(self, step: int, figure: float) -> None:
        """Take in the figure of a step; one that is not a number is not higher than any."""
        self.offered_at = step
        if figure > self.highest:
            self.highest, self.highest_at = float(figure), step

    def share(self, device: torch.device) -> None:
        """Let every process know the steps that the first one does."""
        steps = of_first(torch.tensor([self.highest_at, self.offered_at], device=device))
        self.highest_at, self.offered_at = steps.tolist()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return vars(self).copy()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a state; an empty one is that of a run in which nothing was offered."""
        self.highest = float(state.get("highest", -math.inf))
        self.highest_at, self.offered_at = (
            operator.index(state.get(name, 0)) for name in ("highest_at", "offered_at")
        )


def require_figures(options: TrainingOptions, callbacks: Sequence[Any], folder: RunFolder | None) -> None:
    """Check that there is somebody to offer figures, where a run goes by them, and a place for the best.

    Raises:
        UsageError: if there is not.
    """
    if (options.choose == "best" or options.patience is not None) and not callbacks:
        raise UsageError(
            'choose="best" and patience go by what a callback says of each epoch: give callbacks=[...] '
            "with one that calls trainer.offer(figure)"
        )
    if options.choose == "best" and folder is None:
        raise UsageError(
            'choose="best" keeps the best parameters in the run\'s folder: give one, '
            "run=RunFolder.create(...)"
        )
