"""Gated PixelCNN (van den Oord et al. 2016), arXiv:1606.05328.

Two stacks: v sees all rows above, h also what is to the left in its row. With g(a, b) = tanh(a) sigmoid(b):

    v' = g(conv_v(v) + V c)
    h' = h + conv1(g(conv_h(h) + conv1(conv_v(v)) + V' c))

(no residual in the first layer). The first vertical window ends one row above the pixel; those of the other
layers include the pixel's row, in which v is already free of x. So no earlier pixel is out of sight.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flows.nn.conditioner import ContextProjection
from flows.nn.masked_conv import channel_mask
from zoo.conversion import Odd
from zoo.nn.causal.convolution import CausalConv2d, masked_conv
from zoo.nn.causal.network import CausalNetwork
from zoo.nn.causal.places import Place


class GatedPixelCNN(CausalNetwork):
    """See the module's docstring.

    Args:
        image_shape: (C, H, W).
        features: F, of what is returned at each pixel.
        channels: of both stacks.
        layers: number of layers of both stacks, at least 1.
        head: channels of the last hidden layer.
        kernel: width of the first layer's windows, odd.
        kernels: width of the other layers' windows, odd.
        groups: see `CausalNetwork`.
        context: shape of one context; it is added inside every gate.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        features: int,
        *,
        channels: int = 32,
        layers: int = 10,
        head: int = 32,
        kernel: Odd = 7,
        kernels: Odd = 3,
        groups: int = 1,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(image_shape, groups=groups, context=context, margin=kernel)
        self.out_shape = (features, *self.event_shape[1:])
        self.layers = nn.ModuleList(
            Layer(
                channels if i else self.event_shape[0],
                channels,
                kernels if i else kernel,
                groups=groups,
                context=self.context_shape,
                size=self.event_shape[1:],
                first=i == 0,
                last=i == layers - 1,
            )
            for i in range(layers)
        )
        self.head = masked_conv(channels, head, 1, kind="B", groups=groups)
        self.last = masked_conv(head, features, 1, kind="B", groups=groups)

    def features(self, x: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """Features at a place."""
        layer: Any
        for layer, link in zip(self.layers, at.once_a_row(self.vertical, x, context), strict=True):
            x = layer.horizontal(x, at.here(link), context, at)
        return self.last(self.head(x.relu(), at).relu(), at)

    def vertical(self, x: Tensor, context: Tensor | None, at: Place) -> list[Tensor]:
        """The maps that each layer's vertical stack adds to its horizontal one."""
        links: list[Tensor] = []
        layer: Any
        for layer in self.layers:
            x, link = layer.vertical(x, context, at)
            links.append(link)
        return links


class Layer(nn.Module):
    """One layer of both stacks.

    Args:
        in_channels: of both stacks before it.
        channels: of both stacks after it.
        kernel: odd.
        groups: see `CausalNetwork`.
        context: its shape, if there is one.
        size: (H, W).
        first: whether it reads the image.
        last: whether no layer follows, so that v' is not needed.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        *,
        groups: int,
        context: tuple[int, ...] | None,
        size: Sequence[int],
        first: bool,
        last: bool,
    ) -> None:
        super().__init__()
        rows, left = kernel // 2 + 1, kernel // 2
        self.first, both = first, 2 * channels
        self.conv_v = CausalConv2d(
            in_channels, both, (rows, kernel), top=rows - 1 + first, left=left, reads_image=first
        )
        mask = torch.ones(both, in_channels, 1, left + 1, dtype=torch.bool)
        own = channel_mask(channels, in_channels, groups, include_current=not first)
        mask[..., -1] = paired(own)[..., None]
        self.conv_h = CausalConv2d(
            in_channels, both, (1, left + 1), top=0, left=left, reads_image=first, mask=mask
        )
        self.link = nn.Conv2d(both, both, 1)
        self.out = masked_conv(channels, channels, 1, kind="B", groups=groups)
        self.context_v = ContextProjection(context, (both, *size)) if context and not last else None
        self.context_h = ContextProjection(context, (both, *size)) if context else None

    def vertical(self, v: Tensor, context: Tensor | None, at: Place) -> tuple[Tensor, Tensor]:
        """The next v, and what the horizontal stack gets."""
        u = self.conv_v(v, at)
        return gate(_plus(u, self.context_v, context, at)), self.link(u)

    def horizontal(self, h: Tensor, link: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """The next h."""
        u = self.conv_h(h, at) + link
        u = self.out(gate(_plus(u, self.context_h, context, at)), at)
        return u if self.first else h + u


def gate(u: Tensor) -> Tensor:
    """tanh(a) sigmoid(b) of the two halves of the channels."""
    a, b = u.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


def paired(mask: Tensor) -> Tensor:
    """The mask of both halves that go into a gate, (F, C) -> (2F, C)."""
    return torch.cat([mask, mask])


def _plus(u: Tensor, layer: ContextProjection | None, context: Tensor | None, at: Place) -> Tensor:
    return u if layer is None or context is None else u + at.fixed(layer, context)
