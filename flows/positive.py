"""Maps from real numbers to positive ones: slopes, radii, what keeps a flow invertible."""

import math

import torch.nn.functional as F
from torch import Tensor

LOG_E_MINUS_1 = math.log(math.e - 1)  # softplus of it is 1


def shifted_softplus(a: Tensor) -> Tensor:
    """softplus(a + log(e - 1)): 1 at a = 0."""
    return F.softplus(a + LOG_E_MINUS_1)


def positive(a: Tensor, *, least: float = 1e-3) -> Tensor:
    """Least + (1 - least) softplus(a + log(e - 1)): increasing, above `least`, 1 at a = 0.

    Args:
        a: any numbers.
        least: keeps logarithms and quotients finite where softplus rounds to zero.
    """
    return least + (1 - least) * shifted_softplus(a)
