"""From the reals to the interval that data lie in."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import constraints

from flows.flow import Flow, Pass


class Logit(Flow):
    r"""Data in [0, 1] as logits, kept off the ends (RealNVP, arXiv:1605.08803, section 4.1).

    Forward:    y = (sigmoid(x) - alpha) / (1 - 2 alpha)
    Inverse:    x = logit(alpha + (1 - 2 alpha) y)
    log |det|:  sum_i log sigmoid(x_i) + log sigmoid(-x_i) - log(1 - 2 alpha)

    Its density is that of data in [0, 1], and somewhat beyond: y lies in
    (-alpha, 1 - alpha) / (1 - 2 alpha), which is the codomain. Distributions that validate their arguments
    raise a ValueError for a y outside it; the inverse itself gives NaN there. At the very ends, which a
    sigmoid reaches by rounding, it gives the logit of the smallest normal number instead of infinity.

    Args:
        event_shape: D or (C, H, W).
        alpha: 0 or more, less than 1/2.

    Raises:
        ValueError: for another alpha.

    >>> import torch
    >>> Logit(2)(torch.tensor([0.0, 100.0]))
    tensor([0.5000, 1.0556])
    """

    def __init__(self, event_shape: int | Sequence[int], *, alpha: float = 0.05) -> None:
        if not 0 <= alpha < 0.5:
            raise ValueError(f"expected an alpha from 0 to less than 0.5; got {alpha}")
        super().__init__(event_shape)
        self.alpha, self.width = alpha, 1 - 2 * alpha
        self.ends = -alpha / self.width, (1 - alpha) / self.width
        self.codomain = constraints.independent(constraints.interval(*self.ends), len(self.event_shape))

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        y = (x.sigmoid() - self.alpha) / self.width
        return y.clamp(*self.ends), self._log_det(x)  # beyond the ends by rounding only

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        low, high = self.ends
        p = torch.where((low <= y) & (y <= high), self.alpha + self.width * y, torch.nan)
        largest = -math.log(torch.finfo(y.dtype).tiny)
        x = torch.logit(p.clamp(0, 1)).clamp(-largest, largest)
        return x, -self._log_det(x)

    def _log_det(self, x: Tensor) -> Tensor:
        terms = F.logsigmoid(x) + F.logsigmoid(-x) - math.log(self.width)
        return terms.sum(tuple(range(-len(self.event_shape), 0)))
