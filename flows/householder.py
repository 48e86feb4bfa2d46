"""Householder flows (Tomczak & Welling 2016), arXiv:1611.09630."""

import math
from collections.abc import Sequence

from torch import Tensor

from flows.bases import Reflections
from flows.flow import Flow, Pass
from flows.nn.linear_in_context import LinearInContext


class Householder(Flow):
    r"""A product of reflections: of a diagonal normal it makes one of full covariance.

    Forward:    y = H_K ... H_1 x,  H_k = I - 2 v_k v_k^T / |v_k|^2
    Inverse:    x = H_1 ... H_K y
    log |det|:  0

    Args:
        event_shape: D or (C, H, W), over all of which the products v.x are.
        reflections: K.
        context: shape of one context, if the v_k are to be linear functions of it.

    Shapes: x (\*batch, \*event_shape); log |det| (\*batch).

    Raises:
        ValueError: without a reflection.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        reflections: int = 1,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(event_shape, context=context)
        self.basis, self.size = Reflections(reflections), math.prod(self.event_shape)
        self.parameters_at = LinearInContext(self.basis.initial(self.size), self.context_shape)

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        flat = x.flatten(-len(self.event_shape))
        return self._unflattened(self.basis.back(self._frame(x, context), flat))

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        flat = y.flatten(-len(self.event_shape))
        return self._unflattened(self.basis.into(self._frame(y, context), flat))

    def _frame(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.basis.frame(self.parameters_at(context).to(x.dtype), self.size)

    def _unflattened(self, flat: Tensor) -> Pass:
        return flat.unflatten(-1, self.event_shape), flat.new_zeros(flat.shape[:-1])
