r"""Planar flows (Rezende & Mohamed 2015), arXiv:1505.05770, with an inverse."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flows.flow import Flow, Pass
from flows.nn.linear_in_context import LinearInContext
from flows.positive import positive
from flows.root_finding import solve_increasing


class Planar(Flow):
    r"""A stretch along w: all points of a hyperplane orthogonal to w move alike.

    Forward:    y = x + u tanh(w.x + b)
    Inverse:    x = y - u tanh(a + b),  a the root of a + w.u tanh(a + b) = w.y
    log |det|:  log(1 + w.u tanh'(w.x + b))

    w.u > -1 makes it invertible: as in the paper's appendix, u = u' + (m(w.u') - w.u') w / |w|^2 for any u'.
    Unlike there, m is shifted, m(c) = `positive`(c) - 1: m(0) = 0, so that u' = 0 is the identity.

    The inverse is a search for one number an event (`flows.root_finding`). Starts near the identity, with w
    normal and u' small: from exactly zero it would not train.

    Args:
        event_shape: D or (C, H, W), over all of which the products w.x are.
        context: shape of one context, if w, u' and b are to be linear functions of it.

    Shapes: x (\*batch, \*event_shape); log |det| (\*batch).
    """

    def __init__(
        self, event_shape: int | Sequence[int], *, context: int | Sequence[int] | None = None
    ) -> None:
        super().__init__(event_shape, context=context)
        size = math.prod(self.event_shape)
        w, u, b = torch.randn(size) / math.sqrt(size), 0.01 * torch.randn(size), torch.zeros(1)
        self.parameters_at = LinearInContext(torch.cat([w, u, b]), self.context_shape)

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        w, u, b, line = self._at(context, x)
        a = self._dot(w, x)
        return x + u * self._over_event(torch.tanh(a + b)), line(a)[1]

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        w, u, b, line = self._at(context, y)
        a = line.inverse(self._dot(w, y))
        return y - u * self._over_event(torch.tanh(a + b)), -line(a)[1]

    def _at(self, context: Tensor | None, x: Tensor) -> tuple[Tensor, Tensor, Tensor, "_Line"]:
        r"""W and u, (\*batch, \*event_shape), b and the map along w, for the context and of x's type."""
        size = math.prod(self.event_shape)
        w, free, b = self.parameters_at(context).to(x.dtype).split([size, size, 1], dim=-1)
        u, stretch = _invertible(w, free)
        w, u = (t.unflatten(-1, self.event_shape) for t in (w, u))
        return w, u, b[..., 0], _Line(stretch, b[..., 0])

    def _dot(self, w: Tensor, x: Tensor) -> Tensor:
        return (w * x).sum(tuple(range(-len(self.event_shape), 0)))

    def _over_event(self, t: Tensor) -> Tensor:
        return t.reshape(*t.shape, *[1] * len(self.event_shape))


def _invertible(w: Tensor, u: Tensor) -> Pass:
    """U such that w.u > -1, (..., D), and w.u, (...)."""
    free = (w * u).sum(-1, keepdim=True)
    stretch = positive(free) - 1
    square = (w**2).sum(-1, keepdim=True)
    nonzero = torch.where(square > 1e-24, square, 1.0)  # at w = 0 there is nothing to correct
    return u + (stretch - free) * w / nonzero, stretch[..., 0]


class _Line:
    """The map of the coordinate a along w: a + c tanh(a + b), c = w.u."""

    def __init__(self, c: Tensor, b: Tensor) -> None:
        self.c, self.b = c, b

    def __call__(self, a: Tensor) -> Pass:
        """The value and the log of its slope; tanh'(z) = 4 sigmoid(2 z) sigmoid(-2 z)."""
        z = a + self.b
        slope = 4 * torch.sigmoid(2 * z) * torch.sigmoid(-2 * z)
        return a + self.c * torch.tanh(z), torch.log1p(self.c * slope)

    def inverse(self, value: Tensor) -> Tensor:
        """The root: tanh moves it by |c| at most."""
        return solve_increasing(self, value, value - self.c.abs(), value + self.c.abs())
