"""The base of all flows: a Pyro transform that is also a module, optionally conditional on a context."""

from collections.abc import Sequence
from typing import Any

import torch
from pyro.distributions.torch_transform import TransformModule
from torch import Tensor
from torch.distributions import constraints

from flows.one_pass import OnePassTransform

Shape = tuple[int, ...]
Pass = tuple[Tensor, Tensor]  # a value and a log |det|


class Flow(OnePassTransform, TransformModule):
    r"""An invertible map with parameters, from (\*batch, \*in_shape) to (\*batch, \*event_shape).

    To write one, derive from it and define ``_forward(x, context)``, which returns y and log |det dy/dx|,
    and ``_backward(y, context)``, which returns x and log |det dx/dy|, the log dets of shape (\*batch).
    ``context`` is None unless the flow has a ``context_shape``. Batches have any number of dimensions, none
    included; the context's batch broadcasts with that of x.

    Use it as any of PyTorch's transforms: ``flow(x)``, ``flow.inv(y)``, ``flow.log_abs_det_jacobian(x, y)``,
    in a `distributions.TransformedDistribution` or, at the cost of a second pass, in PyTorch's and Pyro's
    own; where it is conditional, ``flow.condition(context)`` in its place.

    Args:
        event_shape: D for vectors, (C, H, W) for images, of y.
        in_shape: of x, where it is another.
        context: shape of one context, K or (K, H, W), if the map depends on one.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        in_shape: Sequence[int] | None = None,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.event_shape = as_shape(event_shape)
        self.in_shape = self.event_shape if in_shape is None else as_shape(in_shape)
        self.context_shape = None if context is None else as_shape(context)
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.event_shape))

    @property
    def inv(self) -> "Inverse":
        """The inverse; a module too, whose parameters are this flow's."""
        return Inverse(self)

    def call_and_log_det(self, x: Tensor, context: Tensor | None = None) -> Pass:
        r"""Y and log |det dy/dx|, (\*batch), in one pass.

        Raises:
            ValueError: if x or the context is not of the shape that the flow was made for.
        """
        self._check(x, self.in_shape, context)
        return self._forward(x, context)

    def inverse_and_log_det(self, y: Tensor, context: Tensor | None = None) -> Pass:
        r"""X and log |det dx/dy|, (\*batch), in one pass.

        Raises:
            ValueError: if y or the context is not of the shape that the flow was made for.
        """
        self._check(y, self.event_shape, context)
        return self._backward(y, context)

    def condition(self, context: Tensor) -> "Conditioned":
        r"""The transform at this context (\*batch, \*context_shape): not a module, and short-lived."""
        return Conditioned(self, context)

    def forward_shape(self, shape: Sequence[int]) -> torch.Size:
        """Shape of y for x of that shape."""
        return _replaced(shape, self.in_shape, self.event_shape)

    def inverse_shape(self, shape: Sequence[int]) -> torch.Size:
        """Shape of x for y of that shape."""
        return _replaced(shape, self.event_shape, self.in_shape)

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        raise NotImplementedError

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        raise NotImplementedError

    def _check(self, x: Tensor, shape: Shape, context: Tensor | None) -> None:
        if x.shape[-len(shape) :] != shape:
            raise ValueError(
                f"{self._name} takes events of shape {shape}; got a tensor of shape {tuple(x.shape)}"
            )
        self._check_context(context)

    def _check_context(self, context: Tensor | None) -> None:
        expected, got = self.context_shape, None if context is None else tuple(context.shape)
        if expected is None and got is not None:
            raise ValueError(f"{self._name} was made without a context; got one of shape {got}")
        if expected is not None and got is None:
            raise ValueError(f"{self._name} needs a context of shape {expected}: flow.condition(context)")
        if expected is not None and got is not None and got[-len(expected) :] != expected:
            raise ValueError(f"{self._name} takes contexts of shape {expected}; got a tensor of shape {got}")

    @property
    def _name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return torch.nn.Module.__repr__(self)


class InverseMixin:
    """The transform protocol of an inverse, in terms of its original."""

    original: Any

    @property
    def inv(self) -> Any:
        """The original flow."""
        return self.original

    def __call__(self, x: Tensor) -> Tensor:
        """The original's inverse at x."""
        return self.original._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self.original(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Minus the original's log |det|."""
        return -self.original.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Sequence[int]) -> torch.Size:
        """The original's inverse shape."""
        return self.original.inverse_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> torch.Size:
        """The original's forward shape."""
        return self.original.forward_shape(shape)


class Inverse(InverseMixin, Flow):
    """The inverse of a flow.

    Args:
        original: the flow; its parameters are this one's.
    """

    def __init__(self, original: Flow) -> None:
        super().__init__(original.in_shape, in_shape=original.event_shape, context=original.context_shape)
        self.original = original
        self.domain, self.codomain = original.codomain, original.domain

    def condition(self, context: Tensor) -> Any:
        """The inverse of the original at this context."""
        return self.original.condition(context).inv

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        return self.original._backward(x, context)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        return self.original._forward(y, context)


class Conditioned(OnePassTransform):
    r"""A flow at a given context.

    Its batch is at least that of the context: ``TransformedDistribution`` expands its base to it.

    Args:
        flow: made with ``context=``.
        context: (\*batch, \*context_shape).
    """

    def __init__(self, flow: Flow, context: Tensor) -> None:
        super().__init__()
        self.flow, self.context = flow, context
        self.domain, self.codomain = flow.domain, flow.codomain
        flow._check_context(context)

    @property
    def inv(self) -> "ConditionedInverse":
        """The inverse at the same context."""
        return ConditionedInverse(self)

    def call_and_log_det(self, x: Tensor) -> Pass:
        """Y and log |det dy/dx|, see `Flow`."""
        return self.flow.call_and_log_det(x, self.context)

    def inverse_and_log_det(self, y: Tensor) -> Pass:
        """X and log |det dx/dy|, see `Flow`."""
        return self.flow.inverse_and_log_det(y, self.context)

    def forward_shape(self, shape: Sequence[int]) -> torch.Size:
        """Shape of y for x of that shape."""
        return self._broadcast(shape, self.flow.in_shape, self.flow.event_shape)

    def inverse_shape(self, shape: Sequence[int]) -> torch.Size:
        """Shape of x for y of that shape."""
        return self._broadcast(shape, self.flow.event_shape, self.flow.in_shape)

    def _broadcast(self, shape: Sequence[int], old: Shape, new: Shape) -> torch.Size:
        batch = _replaced(shape, old, ())
        contexts = self.context.shape[: -len(self.flow.context_shape or ())]
        return torch.broadcast_shapes(batch, contexts) + new


class ConditionedInverse(InverseMixin, OnePassTransform):
    """The inverse of a flow at a given context.

    Args:
        original: the conditioned flow.
    """

    def __init__(self, original: OnePassTransform) -> None:
        super().__init__()
        self.original = original
        self.domain, self.codomain = original.codomain, original.domain

    def call_and_log_det(self, x: Tensor) -> Pass:
        """The original's x and log |det dx/dy|."""
        return self.original.inverse_and_log_det(x)

    def inverse_and_log_det(self, y: Tensor) -> Pass:
        """The original's y and log |det dy/dx|."""
        return self.original.call_and_log_det(y)


def as_shape(shape: int | Sequence[int]) -> Shape:
    """D or (C, H, W) as a tuple.

    Raises:
        ValueError: unless it is one or several positive integers.
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or any(size < 1 for size in sizes):
        raise ValueError(f"expected a shape of positive sizes, D or (C, H, W); got {shape}")
    return sizes


def _replaced(shape: Sequence[int], old: Shape, new: Shape) -> torch.Size:
    """`shape` with `new` in place of the event shape `old` at its end.

    Raises:
        ValueError: if it does not end with `old`.
    """
    cut = len(shape) - len(old)
    if cut < 0 or tuple(shape[cut:]) != old:
        raise ValueError(f"expected a shape that ends with {old}; got {tuple(shape)}")
    return torch.Size((*shape[:cut], *new))
