"""Uniform noise for quantile functions."""

import torch
from torch import Tensor


def inside_unit_interval(u: Tensor) -> Tensor:
    """Noise u in [0, 1) moved off 0, where quantile functions are infinite.

    PyTorch's generators draw multiples of eps / 2 or finer. A draw of 0 stands for [0, eps / 2), so it
    becomes the middle eps / 4, for which 2 u - 1 too is inside its interval; 1 becomes 1 - eps / 2.
    """
    eps = torch.finfo(u.dtype).eps
    return u.clamp(eps / 4, 1 - eps / 2)
