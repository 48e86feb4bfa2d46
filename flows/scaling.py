"""Scaling by a diagonal matrix, the last layer of NICE."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flows.flow import Flow, Pass


class Scaling(Flow):
    r"""One factor an element (NICE, arXiv:1410.8516, section 3.3).

    Forward:    y = x exp(s);  log |det| = sum_i s_i
    Inverse:    x = y exp(-s)

    Args:
        event_shape: D or (C, H, W), also of s, which starts at zero.
    """

    def __init__(self, event_shape: int | Sequence[int]) -> None:
        super().__init__(event_shape)
        self.log_scale = nn.Parameter(torch.zeros(self.event_shape))

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        return self._scaled(x, self.log_scale)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        return self._scaled(y, -self.log_scale)

    def _scaled(self, x: Tensor, s: Tensor) -> Pass:
        batch = x.shape[: -len(self.event_shape)]
        return x * s.exp(), s.sum().to(x.dtype).expand(batch)
