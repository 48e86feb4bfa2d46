"""Activations."""

import torch
import torch.nn.functional as F
from torch import Tensor


def elu(x: Tensor) -> Tensor:
    """X above zero, exp(x) - 1 below (arXiv:1511.07289).

    Compiled, it is written out: the compiler's expm1 takes three times as long on a CPU as exp(x) - 1, from
    which it differs by rounding, 6e-8.
    """
    if torch.compiler.is_compiling():
        return torch.where(x >= 0, x, torch.exp(x.clamp(max=0.0)) - 1)
    return F.elu(x)


def concat_elu(*maps: Tensor) -> Tensor:
    """elu([x, -x]) of one or several maps (N, C, ...), channels doubled (arXiv:1603.05201)."""
    return elu(torch.cat([*maps, *(-x for x in maps)], dim=1))
