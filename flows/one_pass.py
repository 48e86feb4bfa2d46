"""Transforms whose primitive is (y, log det) in one pass, as PyTorch's and Pyro's distributions call them.

`TransformedDistribution` asks for y, for x and for the log det in separate calls, each of which would run
the network again. So a value carries a receipt of the pass that made it: x, the log det and the state of the
transform. The receipt lives and dies with the value, not with the transform: modules stay free of tensors of
the last batch (copies, pickles, averages). It is good for one log det, and void when the value, x or a weight
has changed in between, the transform has gone from training to evaluation or back, or gradients have been
switched on or off for any of them.

Changes are known by PyTorch's count of a tensor's edits, which three kinds of edit go past: those of
``tensor.data``, of tensors made in inference mode, and of a fused optimiser. Score a sample before such an
update, or score ``sample.clone()`` after it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Transform


class Receipt:
    """What the pass that made a value knows: which transform, which way, from what, and log |dy/dx|."""

    def __init__(
        self, transform: Any, value: Tensor, source: Tensor, log_det: Tensor, *, inverse: bool
    ) -> None:
        self.transform, self.source, self.log_det, self.inverse = transform, source, log_det, inverse
        self.training = _training(transform)
        self.tensors = _tensors(transform)  # kept, so that no other tensor gets their ids
        self.state = _state(value, source, self.tensors)

    def is_of(self, transform: Any, value: Tensor, *, inverse: bool) -> bool:
        """Whether that transform or its inverse, in the state it is in now, made the value as it is now."""
        if self.transform is not transform or self.inverse != inverse:
            return False
        if self.training != _training(transform):
            return False
        return self.state == _state(value, self.source, _tensors(transform))

    def __deepcopy__(self, memo: Any) -> None:
        return None  # a copied value is nobody's

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return set, ()  # nor is a saved one; an empty set, for `torch.load` knows it


class OnePassTransform(Transform):
    """Base of transforms written as two methods; the rest of PyTorch's protocol is derived from them.

    Derived classes have ``call_and_log_det(x)``, which returns y and log |det dy/dx|, and
    ``inverse_and_log_det(y)``, which returns x and log |det dx/dy|, each in one pass.
    """

    bijective = True

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Y and log |det dy/dx|."""
        raise NotImplementedError

    def inverse_and_log_det(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """X and log |det dx/dy|."""
        raise NotImplementedError

    def tensors(self) -> list[Tensor]:
        """What the map depends on but x."""
        return []

    def __call__(self, x: Tensor) -> Tensor:
        """Y."""
        made = _receipt(x)
        if made is not None and made.is_of(self, x, inverse=True):
            return made.source
        y, log_det = self.call_and_log_det(x)
        return _with_receipt(y, self, x, log_det, inverse=False)

    def _inv_call(self, y: Tensor) -> Tensor:
        made = _receipt(y)
        if made is not None and made.is_of(self, y, inverse=False):
            return made.source
        x, log_det = self.inverse_and_log_det(y)
        return _with_receipt(x, self, y, -log_det, inverse=True)

    def _call(self, x: Tensor) -> Tensor:
        return self.call_and_log_det(x)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        return self.inverse_and_log_det(y)[0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Log |det dy/dx|, (*batch)."""
        for value, source, inverse in ((y, x, False), (x, y, True)):
            made = _receipt(value)
            if made is not None and made.source is source and made.is_of(self, value, inverse=inverse):
                value._receipt = None  # type: ignore[attr-defined]
                return made.log_det
        return self.call_and_log_det(x)[1]


def _with_receipt(value: Tensor, transform: Any, source: Tensor, log_det: Tensor, *, inverse: bool) -> Tensor:
    value = value.view_as(value)  # a tensor that log_det's graph does not hold: no cycle
    value._receipt = Receipt(transform, value, source, log_det, inverse=inverse)  # type: ignore[attr-defined]
    return value


def _receipt(value: Tensor) -> Receipt | None:
    made = getattr(value, "_receipt", None)
    return made if isinstance(made, Receipt) else None


def _training(transform: Any) -> bool:
    return bool(getattr(transform, "training", False))


def _tensors(transform: Any) -> list[Tensor]:
    return [] if torch.compiler.is_compiling() else transform.tensors()


def _state(value: Tensor, source: Tensor, tensors: list[Tensor]) -> tuple[Any, ...]:
    """Changes with the value, its source and the parameters; a compiled step has no change inside it."""
    grad = torch.is_grad_enabled()
    if torch.compiler.is_compiling():
        return (grad,)
    return (grad, *((id(t), _version(t), t.requires_grad) for t in (value, source, *tensors)))


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
