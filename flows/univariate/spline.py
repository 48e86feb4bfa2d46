"""Rational-quadratic splines (Durkan et al. 2019, neural spline flows), arXiv:1906.04032."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from flows.positive import positive


@dataclass(frozen=True)
class RationalQuadraticSpline:
    r"""On [-B, B] an increasing spline, the identity outside; slopes agree at the ends.

    In a bin of width w, height h and slope s = h / w, with slopes d_0 and d_1 at its ends, for
    t = (x - left) / w and v = (y - bottom) / h (equations 4, 5 and 6 to 8 of the paper):

    Forward:    v = (s t^2 + d_0 t (1 - t)) / q,  q = s + (d_0 + d_1 - 2 s) t (1 - t)
    Inverse:    t = 2 s v / (2 s v + e + sqrt(e^2 + 4 s^2 v (1 - v))),  e = d_0 (1 - v) - d_1 v
    dy/dx:      s^2 (d_1 t^2 + 2 s t (1 - t) + d_0 (1 - t)^2) / q^2

    The root is the paper's; written so, it is that of a sum of squares and never negative.

    P = 3 bins - 1 parameters: widths, heights (softmax of each), slopes at the inner knots (softplus). All
    zero, they make the map the identity.

    Attributes:
        bins: how many.
        bound: B.
        least: the smallest width and height of a bin as parts of 2 B, and the smallest slope at a knot.

    Raises:
        ValueError: unless there are two bins, the bound is positive and the smallest bins fit.
    """

    bins: int = 8
    bound: float = 5.0
    least: float = 1e-3

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ValueError(f"a spline needs at least 2 bins; got bins={self.bins}")
        if not self.bound > 0:
            raise ValueError(f"expected a positive bound of the spline's interval; got bound={self.bound}")
        if not 0 < self.least < 1 / self.bins:
            raise ValueError(
                f"{self.bins} bins leave each a part below {1 / self.bins:.3g} of the interval; "
                f"got least={self.least}: take a smaller one, or fewer bins"
            )

    @property
    def size(self) -> int:
        """Number of parameters per element, 3 bins - 1."""
        return 3 * self.bins - 1

    def __call__(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Y and log dy/dx."""
        inner, knots = x.clamp(-self.bound, self.bound), self._knots(parameters)
        piece = knots.piece(inner, knots.x)
        t = (inner - piece.left) / piece.width
        y, log_slope = piece.bottom + piece.height * piece.rise(t), piece.log_slope(t)
        return self._with_tails(x, y, log_slope)

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """X and log dx/dy."""
        inner, knots = y.clamp(-self.bound, self.bound), self._knots(parameters)
        piece = knots.piece(inner, knots.y)
        t = piece.run((inner - piece.bottom) / piece.height)
        x, log_slope = piece.left + piece.width * t, -piece.log_slope(t)
        return self._with_tails(y, x, log_slope)

    def _with_tails(self, x: Tensor, y: Tensor, log_slope: Tensor) -> tuple[Tensor, Tensor]:
        inside = x.abs() <= self.bound
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)

    def _knots(self, parameters: Tensor) -> "_Knots":
        widths, heights, slopes = parameters.split([self.bins, self.bins, self.bins - 1])
        ends = torch.ones_like(parameters[:1])
        slopes = torch.cat([ends, positive(slopes, least=self.least), ends])
        return _Knots(self._edges(widths), self._edges(heights), slopes)

    def _edges(self, sizes: Tensor) -> Tensor:
        """(bins, ...) to (bins + 1, ...): increasing from -B to B, both exactly."""
        parts = self.least + (1 - self.bins * self.least) * sizes.softmax(0)
        inner = self.bound * (2 * parts[:-1].cumsum(0) - 1)
        end = torch.full_like(parts[:1], self.bound)
        return torch.cat([-end, inner, end])


class _Knots(NamedTuple):
    r"""Where the pieces meet and how steeply, each (bins + 1, \*shape)."""

    x: Tensor
    y: Tensor
    slopes: Tensor

    def piece(self, at: Tensor, edges: Tensor) -> "_Piece":
        """The piece that each element lies in, by the edges of its axis."""
        index = (at >= edges[1:-1]).sum(0)
        ends = torch.stack([*_ends(self.x), *_ends(self.y), *_ends(self.slopes)])  # (6, bins, *shape)
        index = index.expand(6, 1, *index.shape)
        left, right, bottom, top, first, last = ends.gather(1, index).squeeze(1)
        return _Piece(left, right - left, bottom, top - bottom, first, last)


def _ends(knots: Tensor) -> tuple[Tensor, Tensor]:
    return knots[:-1], knots[1:]


class _Piece(NamedTuple):
    """One bin for each element, in the class docstring's letters: first and last are d_0 and d_1."""

    left: Tensor
    width: Tensor
    bottom: Tensor
    height: Tensor
    first: Tensor
    last: Tensor

    def rise(self, t: Tensor) -> Tensor:
        """The output v in [0, 1] for t in [0, 1] within the bin."""
        s = self.height / self.width
        return (s * t**2 + self.first * t * (1 - t)) / self._q(t)

    def run(self, v: Tensor) -> Tensor:
        """The input t for the output v."""
        s = self.height / self.width
        e = self.first * (1 - v) - self.last * v
        return 2 * s * v / (2 * s * v + e + torch.sqrt(e**2 + 4 * s**2 * v * (1 - v)))

    def log_slope(self, t: Tensor) -> Tensor:
        """Log dy/dx at t."""
        s = self.height / self.width
        slope = self.last * t**2 + 2 * s * t * (1 - t) + self.first * (1 - t) ** 2
        return 2 * torch.log(s) + torch.log(slope) - 2 * torch.log(self._q(t))

    def _q(self, t: Tensor) -> Tensor:
        s = self.height / self.width
        return s * (t**2 + (1 - t) ** 2) + (self.first + self.last) * t * (1 - t)
