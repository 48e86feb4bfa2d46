"""The two streams of PixelCNN++ (arXiv:1701.05517): a causal U-Net each.

    h_0 -> up blocks -> h_n -> half the resolution and back -> down blocks

Every down block gets one of h_n, ..., h_0 as a shortcut; at the lowest resolution h_n goes straight to them.
The second stream gets at every block what the first one returned at the same block.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from zoo.nn.causal.gated_resnet import CausalGatedResNet
from zoo.nn.causal.places import Place


@dataclass
class Trace:
    """What the blocks of a stream returned.

    Attributes:
        up, down: one map per block.
        inner: of the lower resolutions; None at a place where they are not evaluated.
    """

    up: list[Tensor] = field(default_factory=list)
    down: list[Tensor] = field(default_factory=list)
    inner: "Trace | None" = None


@dataclass(frozen=True)
class Layers:
    """Makers of a stream's layers, and of what a context adds.

    Attributes:
        conv: of (C, F), with `stride` and `scale` as `CausalConv2d` has them.
        pointwise: of (C, F).
        doubling: of (C, F).
        condition: of F and `depth`, how many times the resolution was halved; None without a context.
    """

    conv: Callable[..., Any]
    pointwise: Callable[..., Any]
    doubling: Callable[..., Any]
    condition: Callable[..., nn.Module | None]


class Stream(nn.Module):
    """A stream from one resolution down; see the module's docstring.

    Args:
        layers: how they are made.
        channels: of all maps.
        resnets: up blocks at each resolution; there is one down block more at all but the lowest.
        resolutions: how many there are from this one down.
        beside: 1, if there is another stream to look at, else 0.
        dropout: in the blocks.
        depth: how many times the resolution was halved.
    """

    def __init__(
        self,
        layers: Layers,
        channels: int,
        *,
        resnets: int,
        resolutions: int,
        beside: int,
        dropout: float,
        depth: int = 0,
    ) -> None:
        super().__init__()
        block = partial(
            CausalGatedResNet,
            channels,
            layers.conv,
            pointwise=layers.pointwise,
            dropout=dropout,
            condition=partial(layers.condition, depth=depth),
        )
        lowest = resolutions == 1
        self.up = nn.ModuleList(block(aux=beside) for _ in range(resnets))
        self.down = nn.ModuleList(block(aux=beside + 1) for _ in range(resnets + (not lowest)))
        self.halving: Any = None if lowest else layers.conv(channels, channels, stride=2)
        self.doubling: Any = None if lowest else layers.doubling(channels, channels)
        inner = partial(Stream, layers, channels, resnets=resnets, beside=beside, dropout=dropout)
        self.inner: Any = None if lowest else inner(resolutions=resolutions - 1, depth=depth + 1)

    def forward(
        self, h: Tensor, context: Tensor | None, at: Place, beside: Trace | None = None
    ) -> tuple[Tensor, Trace]:
        """The last block's map, and all that were returned on the way."""
        shortcuts, trace = [h], Trace()
        for i, block in enumerate(self.up):
            h = block(h, self._other(beside.up if beside else None, i, at), context, at)
            shortcuts.append(h)
            trace.up.append(h)
        if self.inner is None:
            shortcuts.pop()
        else:
            h, trace.inner = self._below(h, context, at, beside.inner if beside else None)
        for i, block in enumerate(self.down):
            h = block(h, [*self._other(beside.down if beside else None, i, at), shortcuts.pop()], context, at)
            trace.down.append(h)
        return h, trace

    def _below(
        self, h: Tensor, context: Tensor | None, at: Place, beside: Trace | None
    ) -> tuple[Tensor, Any]:
        """Half the resolution and back."""

        def inner(h: Tensor, at: Place) -> tuple[Tensor, Trace]:
            return self.inner(h, context, at, beside)

        return at.at_half_resolution(self.halving, inner, self.doubling, h)

    @staticmethod
    def _other(maps: list[Tensor] | None, i: int, at: Place) -> list[Tensor]:
        """The other stream's map, if there is one."""
        return [] if maps is None else [at.here(maps[i])]
