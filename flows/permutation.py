"""Another order of the features or channels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from flows.flow import Flow, Pass


class Permutation(Flow):
    r"""y_i = x_{order[i]}, log |det| = 0: over the features of a vector, the channels of an image.

    The order is a buffer: saved, loaded and moved with the flow.

    Args:
        event_shape: D or (C, H, W).
        order: a permutation of 0 ... D - 1 or C - 1; a random one by default.
        seed: of the random one; PyTorch's global generator by default.

    Shapes: x (\*batch, \*event_shape); log |det| (\*batch).

    Raises:
        ValueError: if the order is no permutation.

    >>> import torch
    >>> Permutation(3, order=[2, 0, 1])(torch.tensor([10.0, 11.0, 12.0]))
    tensor([12., 10., 11.])
    """

    order: Tensor

    def __init__(
        self,
        event_shape: int | Sequence[int],
        *,
        order: Tensor | Sequence[int] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(event_shape)
        size = self.event_shape[0]
        chosen = _random(size, seed) if order is None else torch.as_tensor(order).clone()
        if chosen.dim() != 1 or sorted(chosen.tolist()) != list(range(size)):
            raise ValueError(f"expected a permutation of 0 ... {size - 1}; got {chosen.tolist()}")
        self.register_buffer("order", chosen.long())

    @classmethod
    def reverse(cls, event_shape: int | Sequence[int]) -> "Permutation":
        """The permutation that reverses the order."""
        size = event_shape if isinstance(event_shape, int) else event_shape[0]
        return cls(event_shape, order=range(size)[::-1])

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        return self._ordered(x, self.order)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        return self._ordered(y, self.order.argsort())

    def _ordered(self, x: Tensor, order: Tensor) -> Pass:
        event_dim = len(self.event_shape)
        return x.index_select(-event_dim, order), x.new_zeros(x.shape[:-event_dim])


def _random(size: int, seed: int | None) -> Tensor:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randperm(size, generator=generator)
