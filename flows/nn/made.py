r"""MADE: dense layers with masks (Germain, Gregor, Murray & Larochelle 2015), arXiv:1502.03509.

Every unit has a degree m: it may depend on the first m elements of the order and on no other.

    an element of rank r = 0 .. D - 1 is known to units of degree     m >= r + 1
    a hidden unit of degree m feeds units of degree                   m' >= m
    the parameters of the element of rank r are units of degree       r

so that they depend on the elements of lower ranks only.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.inversion.incremental import incremental
from flows.nn.conditioner import ContextProjection, dense
from flows.nn.output import gain, zero


class MADE(nn.Module):
    r"""P parameters for each of D elements, from the elements before it: (\*batch, D) to (\*batch, P D).

    The context is added to the first hidden layer, unmasked: all elements see it, the first one too as long
    as there are two units a layer. The last layer starts at zero.

    Args:
        features: D, at least 1.
        size: P. The output has the D first parameters first, then the D second ones ...
        hidden: widths, of any size; with fewer than D - 1 units in a layer some dependencies are missing.
        order: the elements, 0 .. D - 1, in the order in which they come; by default as they are.
        context: shape of one context, (K,), if there is any.

    Raises:
        ValueError: if `order` is no permutation, or if a width is not positive.

    >>> MADE(3, 2, hidden=(8,), order=[2, 1, 0])(torch.ones(4, 3)).shape
    torch.Size([4, 6])
    """

    order: Tensor

    def __init__(
        self,
        features: int,
        size: int,
        *,
        hidden: Sequence[int] = (128, 128),
        order: Sequence[int] | None = None,
        context: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        order = [int(i) for i in (range(features) if order is None else order)]
        _require(features, hidden, order)
        elements = torch.tensor(order)
        ranks = elements.argsort()
        lowest = 1 if features > 1 and context is None else 0
        self.features, self.size = features, size
        self.degrees = [_spread(width, lowest, features) for width in hidden]
        self.register_buffer("order", elements)
        units = [ranks + 1, *map(torch.tensor, self.degrees), ranks.repeat(size)]
        *hidden_masks, last = (after[:, None] >= before for before, after in itertools.pairwise(units))
        self.layers = nn.ModuleList(MaskedLinear(mask) for mask in hidden_masks)
        self.layers.append(MaskedLinear(last, gain=gain(last.shape[1])))
        self.context = None if context is None else ContextProjection(context, (len(units[1]),))
        zero(self.layers[-1])

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The parameters for x and the context."""
        return dense(self.layers, self.context, x, context)

    def solve(self, univariate: Any, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """X with y_i = f(x_i; self(x, context)_i), and log dx/dy of each element, by `incremental`."""
        return incremental(self, univariate, y, context)


class MaskedLinear(nn.Linear):
    """y = gain (W * mask) x + b.

    Args:
        mask: boolean, (out_features, in_features).
        gain: see `flows.nn.output`.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, *, gain: float = 1.0) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", gain * mask.to(self.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """The masked layer's output."""
        return F.linear(x, self.masked_weight(), self.bias)

    def masked_weight(self) -> Tensor:
        """The weight as it is used, gain (W * mask)."""
        return self.weight * self.mask


def _spread(width: int, lowest: int, features: int) -> list[int]:
    """Degrees from `lowest` to D - 1, in ascending order, as evenly as can be and with both ends."""
    count = features - lowest
    return [lowest + max(j * count // width, j * (count - 1) // max(width - 1, 1)) for j in range(width)]


def _require(features: int, hidden: Sequence[int], order: list[int]) -> None:
    if sorted(order) != list(range(features)):
        raise ValueError(
            f"expected an order of the elements 0 .. {features - 1}, each of them once; got {order}"
        )
    if any(width < 1 for width in hidden):
        raise ValueError(f"expected hidden layers of at least 1 unit; got {tuple(hidden)}")
