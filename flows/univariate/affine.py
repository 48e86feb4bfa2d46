"""Affine and additive maps (RealNVP, arXiv:1605.08803; NICE, arXiv:1410.8516)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Affine:
    r"""y = x exp(s) + t,  log dy/dx = s.

    Attributes:
        bound: s = bound tanh(s' / bound) for the parameter s': one map stretches by exp(bound) at most. None
            for s = s'.
    """

    bound: float | None = 3.0
    size = 2

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Y and log dy/dx = s."""
        s, t = self._scale_and_shift(parameters)
        return x * s.exp() + t, s

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """X = (y - t) exp(-s) and log dx/dy = -s."""
        s, t = self._scale_and_shift(parameters)
        minus_s = -s
        return (y - t) * minus_s.exp(), minus_s

    def _scale_and_shift(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        s, t = parameters
        return (s if self.bound is None else self.bound * torch.tanh(s / self.bound)), t


@dataclass(frozen=True)
class Additive:
    """y = x + t,  log dy/dx = 0."""

    size = 1

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Y and log dy/dx = 0."""
        y = x + parameters[0]
        return y, torch.zeros_like(y)

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """X and log dx/dy = 0."""
        x = y - parameters[0]
        return x, torch.zeros_like(x)
