r"""Sylvester flows (van den Berg, Hasenclever, Tomczak & Welling 2018), arXiv:1803.05649, with an inverse."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flows.bases import Basis, Orthogonal, product
from flows.flow import Flow, Pass
from flows.nn.linear_in_context import LinearInContext
from flows.root_finding import solve_increasing

LARGEST_DIAGONAL = 0.999  # of R_1 and R_2: the determinant stays above 0.001 per column


class Sylvester(Flow):
    r"""A planar flow of M directions, coupled by triangular matrices.

    Forward:    y = x + Q R_1 tanh(s),  s = R_2 Q^T x + b
    Inverse:    x = y - Q R_1 tanh(s);  a = Q^T x by back substitution, a root finding for each of M numbers
    log |det|:  sum_i log(1 + r_1ii r_2ii tanh'(s_i))

    Q has M orthonormal columns; R_1 and R_2 are upper triangular, their diagonals 0.999 tanh of free numbers,
    so that r_1ii r_2ii > -1. The paper's three flows are three bases (`flows.bases`): O-SNF
    ``Orthogonal(M)``, H-SNF ``Reflections(K)``, T-SNF ``Axes(reverse)``, reversed in every other flow. As in
    the paper's code one M x M matrix holds both strict triangles, so an amortised flow has P + M (M + 3)
    parameters per context, P those of Q. M = 1 is a planar flow. Starts near the identity.

    Args:
        event_shape: D or (C, H, W), flattened for the products.
        basis: of Q.
        context: shape of one context, if all parameters are to be linear functions of it.

    Shapes: x (\*batch, \*event_shape); log |det| (\*batch).

    Raises:
        ValueError: if the basis has more columns than there are dimensions.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        basis: Basis | None = None,
        *,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(event_shape, context=context)
        self.size = math.prod(self.event_shape)
        self.basis: Basis = Orthogonal(min(8, self.size)) if basis is None else basis
        m = self.basis.columns(self.size)
        of_basis = self.basis.initial(self.size)
        triangles, r_1, r_2 = 0.01 * torch.randn(m * m), 0.01 * torch.randn(m), torch.ones(m)
        self.sizes = [len(of_basis), m * m, m, m, m]
        initial = torch.cat([of_basis, triangles, r_1, r_2, torch.zeros(m)])
        self.parameters_at = LinearInContext(initial, self.context_shape)

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        frame, r_1, r_2, b = self._at(context, x)
        flat = x.flatten(-len(self.event_shape))
        s = product(r_2, self.basis.into(frame, flat)) + b
        y = flat + self.basis.back(frame, product(r_1, torch.tanh(s)))
        return y.unflatten(-1, self.event_shape), _log_det(r_1, r_2, s)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        frame, r_1, r_2, b = self._at(context, y)
        flat = y.flatten(-len(self.event_shape))
        s = _solved(r_1, r_2, b, self.basis.into(frame, flat))
        x = flat - self.basis.back(frame, product(r_1, torch.tanh(s)))
        return x.unflatten(-1, self.event_shape), -_log_det(r_1, r_2, s)

    def _at(self, context: Tensor | None, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        r"""The frame of Q, R_1 and R_2 (\*batch, M, M), and b (\*batch, M), of x's type."""
        parameters = self.parameters_at(context).to(x.dtype)
        of_basis, triangles, r_1, r_2, b = parameters.split(self.sizes, dim=-1)
        both = triangles.unflatten(-1, (b.shape[-1], b.shape[-1]))
        frame = self.basis.frame(of_basis, self.size)
        return frame, _triangular(both, r_1), _triangular(both.mT, r_2), b


def _triangular(matrix: Tensor, diagonal: Tensor) -> Tensor:
    """The part above the diagonal, with another diagonal."""
    return matrix.triu(1) + torch.diag_embed(LARGEST_DIAGONAL * torch.tanh(diagonal))


def _log_det(r_1: Tensor, r_2: Tensor, s: Tensor) -> Tensor:
    diagonals = r_1.diagonal(dim1=-2, dim2=-1) * r_2.diagonal(dim1=-2, dim2=-1)
    return torch.log1p(diagonals * _slope(s)).sum(-1)


def _slope(s: Tensor) -> Tensor:
    """tanh'(s), which does not round to zero before it must."""
    return 4 * torch.sigmoid(2 * s) * torch.sigmoid(-2 * s)


def _solved(r_1: Tensor, r_2: Tensor, b: Tensor, value: Tensor) -> Tensor:
    r"""The s = R_2 a + b, (\*batch, M), with a + R_1 tanh(s) = value: from the last row to the first."""
    a: list[Tensor] = []  # of the rows below, the lowest last
    s: list[Tensor] = []
    for i in reversed(range(value.shape[-1])):
        constant, target = b[..., i], value[..., i]
        if a:
            constant = constant + (r_2[..., i, i + 1 :] * torch.stack(a, -1)).sum(-1)
            target = target - (r_1[..., i, i + 1 :] * torch.tanh(torch.stack(s, -1))).sum(-1)
        constant, target = torch.broadcast_tensors(constant, target)
        root = _row(r_1[..., i, i], r_2[..., i, i], constant, target)
        a.insert(0, root)
        s.insert(0, r_2[..., i, i] * root + constant)
    return torch.stack(s, -1)


def _row(r_1: Tensor, r_2: Tensor, constant: Tensor, target: Tensor) -> Tensor:
    """The a with a + r_1 tanh(r_2 a + constant) = target: tanh moves it by |r_1| at most."""

    def function(a: Tensor) -> Pass:
        s = r_2 * a + constant
        return a + r_1 * torch.tanh(s), torch.log1p(r_1 * r_2 * _slope(s))

    return solve_increasing(function, target, target - r_1.abs(), target + r_1.abs())
