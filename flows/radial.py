r"""Radial flows (Rezende & Mohamed 2015), arXiv:1505.05770, with an inverse."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flows.flow import Flow, Pass
from flows.nn.linear_in_context import LinearInContext
from flows.positive import positive


class Radial(Flow):
    r"""A stretch or squeeze around a point x_0.

    Forward:    y = x + rho t (x - x_0),  t = alpha / (alpha + r),  r = |x - x_0|
    Inverse:    x = x_0 + (y - x_0) / (1 + rho t),  r the root of r (1 + rho t) = |y - x_0|
    log |det|:  (D - 1) log(1 + rho t) + log(1 + rho t^2)

    The paper's beta is alpha rho; alpha > 0 and rho > -1, by `positive`, make the map invertible. The root is
    that of a quadratic, so both directions cost the same. Starts near the identity, rho = 0.

    Args:
        event_shape: D or (C, H, W); |.| is the norm over all of it.
        context: shape of one context, if x_0, alpha and rho are to be functions of it, linear
            but for `positive`.

    Shapes: x (\*batch, \*event_shape); log |det| (\*batch).
    """

    def __init__(
        self, event_shape: int | Sequence[int], *, context: int | Sequence[int] | None = None
    ) -> None:
        super().__init__(event_shape, context=context)
        self.dims = tuple(range(-len(self.event_shape), 0))
        self.size = math.prod(self.event_shape)
        center, alpha, rho = torch.randn(self.size), torch.zeros(1), 0.01 * torch.randn(1)
        self.parameters_at = LinearInContext(torch.cat([center, alpha, rho]), self.context_shape)

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        center, alpha, rho = self._at(context, x)
        t = alpha / (alpha + self._norm(x - center))
        return center + (1 + rho * t) * (x - center), self._log_det(rho, t)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        center, alpha, rho = self._at(context, y)
        t = alpha / (alpha + _radius(self._norm(y - center), alpha, rho))
        return center + (y - center) / (1 + rho * t), -self._log_det(rho, t)

    def _at(self, context: Tensor | None, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""x_0, (\*batch, \*event_shape), alpha and rho, (\*batch, 1, ...), of x's type."""
        center, *others = self.parameters_at(context).to(x.dtype).split([self.size, 1, 1], dim=-1)
        alpha, rho = (positive(a.reshape(*a.shape, *[1] * (len(self.dims) - 1))) for a in others)
        return center.unflatten(-1, self.event_shape), alpha, rho - 1

    def _norm(self, x: Tensor) -> Tensor:
        return torch.linalg.vector_norm(x, dim=self.dims, keepdim=True)

    def _log_det(self, rho: Tensor, t: Tensor) -> Tensor:
        log_det = (self.size - 1) * torch.log1p(rho * t) + torch.log1p(rho * t**2)
        return log_det.flatten(-len(self.dims))[..., 0]


def _radius(stretched: Tensor, alpha: Tensor, rho: Tensor) -> Tensor:
    """The r >= 0 with r^2 + p r - alpha R = 0, p = alpha (1 + rho) - R, for R = r (1 + rho t)."""
    p = alpha * (1 + rho) - stretched
    product = alpha * stretched
    sum_ = torch.where(p > 0, p, -p) + torch.sqrt(p**2 + 4 * product)  # never a difference
    return torch.where(p > 0, 2 * product / sum_, sum_ / 2)
