"""Numbers that must stay positive: slopes, radii, what keeps a flow invertible."""

import math

import torch.nn.functional as F
from torch import Tensor

_UNIT = math.log(math.expm1(1))  # softplus of it is 1


def positive(a: Tensor, *, least: float = 1e-3) -> Tensor:
    """Above `least`, increasing, 1 at a = 0: least + (1 - least) softplus(a + log(e - 1)).

    Args:
        a: any numbers.
        least: keeps logarithms and quotients finite where softplus rounds to zero.
    """
    return least + (1 - least) * F.softplus(a + _UNIT)
