"""The conditioners of couplings: functions of the elements that pass unchanged and of the context."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from flows.flow import Shape
from flows.nn.output import ConvOutput, DenseOutput


def conditioner(
    in_shape: Shape, out_shape: Shape, *, hidden: Sequence[int] = (128, 128), context: Shape | None = None
) -> nn.Module:
    """A dense network between vectors, a convolutional one between images; its last layer starts at zero.

    Args:
        in_shape: (D,) or (C, H, W).
        out_shape: (D',) or (C', H, W).
        hidden: widths, or channels.
        context: shape of one context, (K,) or (K, H, W).
    """
    make = MLP if len(in_shape) == 1 else ConvNet
    return make(in_shape, out_shape, hidden=hidden, context=context)


class MLP(nn.Module):
    r"""Dense layers with ReLUs, (\*batch, D) to (\*batch, D'); see `conditioner`."""

    def __init__(
        self, in_shape: Shape, out_shape: Shape, *, hidden: Sequence[int], context: Shape | None = None
    ) -> None:
        super().__init__()
        widths = [in_shape[0], *hidden, out_shape[0]]
        *hidden_layers, last = itertools.pairwise(widths)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in hidden_layers)
        self.layers.append(DenseOutput(*last))
        self.context = None if context is None else ContextProjection(context, (widths[1],))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The output for x and the context."""
        return dense(self.layers, self.context, x, context)


def dense(layers: Any, of_context: Any, x: Tensor, context: Tensor | None) -> Tensor:
    """Layers with ReLUs between, the context added before the first of these."""
    first, *others = layers
    h = first(x)
    if of_context is not None:
        h = h + of_context(context)
    for layer in others:
        h = layer(h.relu_())
    return h


class ConvNet(nn.Module):
    r"""Convolutions with ReLUs: 3x3, 1x1 between, 3x3 (Glow, arXiv:1807.03039); see `conditioner`."""

    def __init__(
        self, in_shape: Shape, out_shape: Shape, *, hidden: Sequence[int], context: Shape | None = None
    ) -> None:
        super().__init__()
        widths = [in_shape[0], *hidden, out_shape[0]]
        kernels = [3, *[1] * (len(hidden) - 1), 3][-len(widths) + 1 :]
        *hidden_layers, last = zip(itertools.pairwise(widths), kernels, strict=True)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, k, padding=k // 2) for (a, b), k in hidden_layers)
        self.layers.append(ConvOutput(*last[0], last[1]))
        self.context = None if context is None else ContextProjection(context, (widths[1], *in_shape[1:]))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The output for x and the context."""
        first, *others = self.layers
        h = over_images(first, x)
        if self.context is not None:
            h = h + self.context(context)
        batch = h.shape[:-3]
        h = h.reshape(-1, *h.shape[-3:])
        for layer in others:
            h = layer(h.relu_())
        return h.reshape(*batch, *h.shape[1:])


class ContextProjection(nn.Module):
    r"""What is added to the first hidden layer: a linear map of a context (\*batch, K) or (\*batch, K, H, W).

    Args:
        context: shape of one context: a vector for either kind of layer, or a map of the layer's resolution
            or of a multiple of it, which a stride reduces.
        to: shape of the layer, (D,) or (D, H, W).

    Raises:
        ValueError: if the context is a map, and the layer none or of a resolution that does not divide it.
    """

    def __init__(self, context: Shape, to: Shape) -> None:
        super().__init__()
        self.dense = len(to) == 1
        self.linear: nn.Module = (
            _reducing(context, to) if len(context) == 3 else nn.Linear(math.prod(context), to[0], bias=False)
        )

    def forward(self, context: Tensor) -> Tensor:
        r"""(\*batch, \*to), or with sizes 1 where all pixels get the same."""
        if isinstance(self.linear, nn.Conv2d):
            return over_images(self.linear, context)
        added = self.linear(context)
        return added if self.dense else added[..., None, None]


def _reducing(context: Shape, to: Shape) -> nn.Conv2d:
    """From a map (K, f H, f W) to (D, H, W): every output sees its f x f inputs and their neighbours."""
    factor = context[1] // to[1] if len(to) == 3 else 0
    if not factor or context[1:] != tuple(factor * size for size in to[1:]):
        raise ValueError(
            f"expected a context of resolution {to[1:]} or a multiple of it; got one of shape {context}"
        )
    return nn.Conv2d(context[0], to[0], factor + 2, stride=factor, padding=1, bias=False)


def over_images(layer: nn.Module, x: Tensor) -> Tensor:
    r"""A layer for (N, C, H, W) applied to (\*batch, C, H, W)."""
    y = layer(x.reshape(-1, *x.shape[-3:]))
    return y.reshape(*x.shape[:-3], *y.shape[1:])
