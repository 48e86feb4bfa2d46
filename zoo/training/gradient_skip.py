"""Leaving out updates with a very large gradient, as VDVAE's training does (arXiv:2011.10650).

The published rule, skip if |g| >= threshold, can lock up: once every gradient is above the threshold the
parameters never change, and the run skips for ever. Here a run of skips is bounded.
"""

import torch
from torch import Tensor, nn

from zoo.settings import require


class GradientSkip(nn.Module):
    """Whether to take an update, by the norm of its gradient; a state of one number, saved with a run.

    Taken if |g| < threshold, or if `patience` updates before it were left out in a row; never if |g| is not
    finite. So of patience + 1 finite gradients at least one is taken; clip what is taken.

    Args:
        threshold: of the norm; 200 to 500 in the paper's configurations, clipped at about half of it.
        patience: updates left out in a row at most.

    Raises:
        UsageError: if the threshold is not positive or the patience negative.

    >>> skip = GradientSkip(10.0, patience=2)
    >>> [bool(skip.takes(torch.tensor(norm))) for norm in (1.0, 20.0, 20.0, 20.0, 20.0)]
    [True, False, False, True, False]
    """

    in_a_row: Tensor

    def __init__(self, threshold: float, *, patience: int = 100) -> None:
        super().__init__()
        require(threshold > 0, "threshold > 0", threshold)
        require(patience >= 0, "patience >= 0", patience)
        self.threshold, self.patience = threshold, patience
        self.register_buffer("in_a_row", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def takes(self, norm: Tensor) -> Tensor:
        """Whether the update with a gradient of this norm is to be taken, a boolean scalar on its device."""
        taken = (norm < self.threshold) | (self.in_a_row >= self.patience)
        taken = taken & norm.isfinite()
        self.in_a_row.copy_(torch.where(taken, 0, self.in_a_row + 1))
        return taken

    def has_patience(self) -> Tensor:
        """Whether no more than `patience` updates were left out in a row; never false of finite gradients."""
        return self.in_a_row <= self.patience
