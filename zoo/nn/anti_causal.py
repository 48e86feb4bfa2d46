"""An encoder whose step t sees only what of an image is still to come."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.nn.activations import ELU
from zoo.nn.layers import Shape


class AntiCausalEncoder(nn.Module):
    """Features (B, channels, T, 1) of delta-VAE (arXiv:1901.03416): step t sees the rows from t H / T on.

    Rows are vectors of C W numbers. Residual layers convolve them with the rows below, at distances 0, 1d and
    2d with d = 1, 2, 4, ...; step t then takes the row where it begins.

    Args:
        image_shape: (C, H, W).
        steps: T, H at most.
        channels: of every layer.

    Raises:
        ValueError: if there are more steps than rows.
    """

    def __init__(self, image_shape: Shape, steps: int, *, channels: int = 64) -> None:
        super().__init__()
        c, height, width = image_shape
        if not 1 <= steps <= height:
            raise ValueError(f"expected 1 to {height} steps, one row each at least; got {steps}")
        self.out_shape = (channels, steps, 1)
        self.begins: Sequence[int] = [t * height // steps for t in range(steps)]
        self.embed = nn.Conv1d(c * width, channels, 1)
        reaches = [2**i for i in range(max(1, (height - 1).bit_length() - 1))]  # 1 + 2 (1 + 2 + ...) >= H
        self.layers: Any = nn.ModuleList(nn.Conv1d(channels, channels, 3, dilation=d) for d in reaches)
        self.activation = ELU()

    def forward(self, x: Tensor) -> Tensor:
        """The features of the images x (B, C, H, W)."""
        rows = x.permute(0, 1, 3, 2).flatten(1, 2)  # (B, C W, H)
        h = self.embed(rows)
        for layer in self.layers:
            below = F.pad(self.activation(h), (0, 2 * layer.dilation[0]))  # nothing is below the last row
            h = h + layer(below)
        return h[:, :, self.begins].unsqueeze(-1)
