"""Maps whose row r is moved r columns to the right, so that diagonals become columns (arXiv:1601.06759)."""

import torch.nn.functional as F
from torch import Tensor


def skew(x: Tensor) -> Tensor:
    r"""y(r, r + c) = x(r, c), zero elsewhere; (\*batch, H, W) -> (\*batch, H, W + H - 1)."""
    height, width = x.shape[-2:]
    wide = F.pad(x, (0, height)).flatten(-2)  # rows of W + H, read as rows of one column less
    return wide[..., :-height].unflatten(-1, (height, width + height - 1))


def unskew(y: Tensor) -> Tensor:
    r"""The x of ``skew(x)``; (\*batch, H, W + H - 1) -> (\*batch, H, W)."""
    height, diagonals = y.shape[-2:]
    wide = F.pad(y.flatten(-2), (0, height)).unflatten(-1, (height, diagonals + 1))
    return wide[..., : diagonals + 1 - height]
