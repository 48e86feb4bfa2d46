"""The same elements in another shape."""

import math
from collections.abc import Sequence

from torch import Tensor

from flows.flow import Flow, Pass


class Reshape(Flow):
    r"""y is x in another shape, row-major;  log |det| = 0.

    Args:
        in_shape: of x, D or (C, H, W).
        event_shape: of y.

    Raises:
        ValueError: if they differ in the number of elements.
    """

    def __init__(self, in_shape: int | Sequence[int], event_shape: int | Sequence[int]) -> None:
        super().__init__(event_shape, in_shape=(in_shape,) if isinstance(in_shape, int) else in_shape)
        before, after = math.prod(self.in_shape), math.prod(self.event_shape)
        if before != after:
            raise ValueError(
                f"cannot reshape {self.in_shape}, {before} elements, to {self.event_shape}, {after} elements"
            )

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        return _reshaped(x, self.in_shape, self.event_shape)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        return _reshaped(y, self.event_shape, self.in_shape)


def _reshaped(x: Tensor, old: Sequence[int], new: Sequence[int]) -> Pass:
    batch = x.shape[: -len(old)]
    return x.reshape(*batch, *new), x.new_zeros(batch)
