"""Maps from real numbers to standard deviations."""

import torch
import torch.nn.functional as F
from torch import Tensor

from flows.positive import shifted_softplus

MIN_SCALE = 1e-3  # a posterior narrower than this is an overflow in waiting, not a better model


def softplus_scale(raw: Tensor) -> Tensor:
    """softplus(raw + log(e - 1)) + 1e-3: 1.001 at raw = 0, never below 1e-3.

    `flows.positive.positive` is exactly 1 at 0, which a flow needs to start at the identity.
    """
    return shifted_softplus(raw) + MIN_SCALE


def wide_softplus_scale(raw: Tensor) -> Tensor:
    """exp(softplus(raw) / 2): a log-variance of softplus(raw), as in BIVA's published codes.

    Never below 1: under it no posterior is narrower than a standard normal prior.
    """
    return torch.exp(0.5 * F.softplus(raw))


def bounded_scale(raw: Tensor) -> Tensor:
    """exp(clamp(raw, -6, 2) / 2): a log-variance between -6 and 2, as in VampPrior's published code."""
    return torch.exp(0.5 * raw.clamp(-6.0, 2.0))
