"""Whether a run has diverged: numbers that are not finite, or beyond any model."""

import math
from typing import Any

import torch
from torch import Tensor

from zoo.errors import NonFiniteError
from zoo.training.checkpoint import has_checkpoint
from zoo.training.gradient_skip import GradientSkip
from zoo.training.run_folder import RunFolder

DIVERGED = 2.0**24  # nats a dimension: far beyond any model, and what float32 resolves to a nat


class Finiteness:
    """Whether the losses and gradients of a run were finite so far, remembered on their device.

    Args:
        loss: whose ``stats``, if it has any, say which of its terms is not.
        device: where it is.
        folder: of the run, if there is one, whose checkpoint one resumes from.
    """

    def __init__(self, loss: Any, device: torch.device, folder: RunFolder | None) -> None:
        self.loss, self.device, self.folder = loss, device, folder
        self._finite = torch.ones((), dtype=torch.bool, device=device)

    def watch(self, measured: dict[str, Tensor], skip: GradientSkip | None, *, step: int) -> None:
        """Take in a step: every one that is to be taken, and one of the last of those left out.

        Raises:
            NonFiniteError: if it was not, on a CPU; elsewhere reading a number would wait for the device.
        """
        finite = torch.isfinite(measured["gradient_norm"]) & torch.isfinite(measured["loss"])
        if skip is not None:
            finite = finite | (measured["skipped"] & skip.has_patience())
        self._finite &= finite
        if self.device.type == "cpu":
            self.require(step)

    def require(self, step: int) -> None:
        """Check that all was finite until after `step`.

        Raises:
            NonFiniteError: naming the terms that are not.
        """
        if not self._finite:
            stats = getattr(self.loss, "stats", {})
            bad = [name for name, value in stats.items() if not math.isfinite(value)]
            where = f" (terms: {', '.join(bad)})" if bad else " (in a gradient)"
            raise NonFiniteError(f"the loss is not finite at step {step + 1}{where}; {self._cure()}")

    def require_plausible(self, loss: float, dimensions: int, *, step: int) -> None:
        """Check that a loss, of images of so many dimensions, is one that a model may have.

        Raises:
            NonFiniteError: if it is not.
        """
        if abs(loss) > DIVERGED * dimensions:
            found = f"a loss of {loss:.3g} at step {step}"
            raise NonFiniteError(f"the run has diverged: got {found}; {self._cure()}")

    def _cure(self) -> str:
        if self.folder is not None and has_checkpoint(self.folder.checkpoints):
            return "the last checkpoint is kept: resume with a smaller learning_rate, or clip=1"
        return "train with a smaller learning_rate, or clip=1"
