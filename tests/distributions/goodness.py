"""Pearson's goodness of fit."""

import torch
from torch import Tensor


def z_score(counts: Tensor, masses: Tensor) -> float:
    """χ² of counts under masses in standard deviations from its mean; cells under 10 are pooled."""
    expected = counts.sum() * masses.double()
    rare = expected < 10
    pooled = [counts[rare].sum().double()[None], expected[rare].sum()[None]]
    observed = torch.cat([counts[~rare].double(), pooled[0]])
    expected = torch.cat([expected[~rare], pooled[1]])
    cells = expected > 0
    chi2 = ((observed - expected)[cells] ** 2 / expected[cells]).sum()
    freedom = cells.sum() - 1
    return float((chi2 - freedom) / (2 * freedom) ** 0.5)
