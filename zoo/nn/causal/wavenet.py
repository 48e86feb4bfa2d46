"""WaveNet (van den Oord et al. 2016), arXiv:1609.03499: causal convolutions whose dilations grow.

    z_k = tanh(W_f *_k h + V_f c) σ(W_g *_k h + V_g c)      *_k with dilation d_k
    h = h + conv1(z_k)
    features = conv1(relu(conv1(relu(sum_k conv1(z_k)))))

The first convolution does not see its own position. So position t sees t - 1 .. t - reach at most,

    reach = (kernel - 1) (1 + sum_k d_k),

and all of them if no dilation is larger than the reach of what comes before it, as with 1, 2, 4 ...
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distributions.ancestral import SamplingTask
from distributions.draws import draw
from flows.flow import as_shape
from flows.nn.conditioner import ContextProjection
from flows.nn.masked_conv import channel_mask
from zoo.nn.causal.gated_pixelcnn import gate, paired
from zoo.nn.causal.network import raster_sites
from zoo.nn.causal.places import EVERYWHERE, Place
from zoo.nn.causal.sequence import Position, SequenceMemory


class WaveNet(nn.Module):
    r"""See the module's docstring.

    Args:
        event_shape: (C, T), a sequence, or (C, H, W), an image, whose pixels are a sequence in raster order.
        features: F, of what is returned at each position.
        channels: of the residual stream.
        dilations: of the layers, from the first to the last.
        kernel: taps of each dilated convolution.
        skip: channels of the sum over the layers.
        head: channels of the last hidden layer.
        groups: 1, if a position's channels are drawn together; C, if one after the other.
        context: shape of one context, (K,) or (K, \*space), if the network takes one.

    Attributes:
        event_shape, sites, context_shape: see `distributions.autoregressive.Network`.
        reach: how many positions back it sees.

    Raises:
        ValueError: if the event is neither a sequence nor an image.
    """

    sites: Tensor

    def __init__(
        self,
        event_shape: Sequence[int],
        features: int,
        *,
        channels: int = 32,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128),
        kernel: int = 2,
        skip: int = 32,
        head: int = 32,
        groups: int = 1,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if len(event_shape) not in (2, 3):
            raise ValueError(f"expected an event of shape (C, T) or (C, H, W); got {tuple(event_shape)}")
        self.event_shape = tuple(event_shape)
        size, space = self.event_shape[0], self.event_shape[1:]
        self.out_shape, self.groups = (features, *space), groups
        self.context_shape = None if context is None else as_shape(context)
        self.reach = (kernel - 1) * (1 + sum(dilations))
        self.register_buffer("sites", raster_sites(self.event_shape, groups), persistent=False)
        self.first = DilatedConv1d(size, channels, kernel, kind="A", groups=groups)
        self.layers = nn.ModuleList(
            Layer(
                channels,
                skip,
                kernel=kernel,
                dilation=dilation,
                groups=groups,
                context=self.context_shape,
                space=space,
                last=i == len(dilations) - 1,
            )
            for i, dilation in enumerate(dilations)
        )
        self.head = DilatedConv1d(skip, head, 1, groups=groups)
        self.last = DilatedConv1d(head, features, 1, groups=groups)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        r"""Features (N, F, \*space) of x (N, C, \*space), each of what comes before it."""
        return self.features(x.flatten(2), context, EVERYWHERE).unflatten(2, self.event_shape[1:])

    def features(self, x: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """Features at a place, of sequences (N, C, T) or positions (N, C)."""
        h, skips = self.first(x, at), []
        for layer in self.layers:
            h, skip = layer(h, context, at)
            skips.append(skip)
        return self.last(self.head(torch.stack(skips).sum(0).relu(), at).relu(), at)

    def sampler(self, task: SamplingTask) -> Tensor:
        """Position after position; each layer remembers its inputs (arXiv:1611.09482)."""
        memory = SequenceMemory(self.first, task.start.flatten(2))
        count = memory.x.shape[-1]
        for t in range(count):
            self._draw(task, memory, t)
            task.progress((t + 1) / count)
        return memory.x.reshape(task.start.shape)

    def _draw(self, task: SamplingTask, memory: SequenceMemory, t: int) -> None:
        """Draw the position t of x, group after group."""
        one = [1] * (len(self.event_shape) - 1)
        pixel, free, noise = memory.x[..., t], task.free.flatten(2)[..., t], task.noise.flatten(2)[..., t]
        group = self.sites.flatten(1)[..., t] - t * self.groups
        for turn in range(self.groups):
            features = self.features(pixel, task.context, Position(memory, t))
            factors = task.head(features.reshape(*features.shape, *one))
            drawn = draw(factors, noise.reshape(*noise.shape, *one)).reshape(pixel.shape)
            pixel.copy_(torch.where(free & (group == turn), drawn, pixel))


class Layer(nn.Module):
    """A layer of `WaveNet`; the last has no use for a residual.

    Args:
        channels: of the residual stream.
        skip: channels of what the layer adds to the features.
        kernel: taps.
        dilation: steps between them.
        groups: see `WaveNet`.
        context: its shape, if there is one.
        space: (T,) or (H, W).
        last: whether no layer follows.
    """

    def __init__(
        self,
        channels: int,
        skip: int,
        *,
        kernel: int,
        dilation: int,
        groups: int,
        context: tuple[int, ...] | None,
        space: tuple[int, ...],
        last: bool,
    ) -> None:
        super().__init__()
        self.conv = DilatedConv1d(
            channels, 2 * channels, kernel, dilation=dilation, groups=groups, halves=True
        )
        self.skip = DilatedConv1d(channels, skip, 1, groups=groups)
        self.residual = None if last else DilatedConv1d(channels, channels, 1, groups=groups)
        self.context = SequenceContext(context, 2 * channels, space) if context else None

    def forward(self, h: Tensor, context: Tensor | None, at: Place) -> tuple[Tensor, Tensor]:
        """The next h, and what is added to the features."""
        u = self.conv(h, at)
        if self.context is not None and context is not None:
            u = u + at.fixed(self.context, context)
        z = gate(u)
        return h if self.residual is None else h + self.residual(z, at), self.skip(z, at)


class DilatedConv1d(nn.Module):
    """y(t) = sum_i W_i x(t - (kernel - 1 - i) dilation), zeros before the first position.

    Args:
        in_channels: C.
        out_channels: F.
        kernel: taps, the last of them the position's own.
        dilation: steps between taps.
        kind: "A" or "B", see `masked_conv`; at kind "A" a group of channels does not see itself.
        groups: of channels that are drawn one after the other.
        halves: whether each group has two shares of the output, one in each half.

    Shapes: (N, C, T) -> (N, F, T).
    """

    mask: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        dilation: int = 1,
        kind: str = "B",
        groups: int = 1,
        halves: bool = False,
    ) -> None:
        super().__init__()
        like = nn.Conv1d(in_channels, out_channels, kernel)
        self.weight, self.bias = like.weight, like.bias
        self.dilation, self.reach = dilation, (kernel - 1) * dilation
        mask = torch.ones(out_channels, in_channels, kernel, dtype=torch.bool)
        mask[..., -1] = _own(out_channels, in_channels, groups, kind, halves=halves)
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor, at: Place = EVERYWHERE) -> Tensor:
        """The layer's output at a place."""
        return at.convolve(self, x)

    def everywhere(self, x: Tensor) -> Tensor:
        """The output for a whole sequence."""
        padded = F.pad(x, (self.reach, 0))
        return F.conv1d(padded, self.weight * self.mask, self.bias, dilation=self.dilation)


class SequenceContext(nn.Module):
    r"""What a context adds to a sequence of features; a context (K, \*space) goes along with it.

    Args:
        context: its shape.
        channels: D.
        space: (T,) or (H, W).

    Shapes: (N, \*context) -> (N, D, T), or (N, D, 1) where all positions get the same.
    """

    def __init__(self, context: tuple[int, ...], channels: int, space: tuple[int, ...]) -> None:
        super().__init__()
        self.row = len(space) == 1 and len(context) == 2  # a sequence is an image of one row
        shape = (context[0], 1, context[1]) if self.row else context
        self.layer = ContextProjection(shape, (channels, *([1] * (2 - len(space))), *space))

    def forward(self, context: Tensor) -> Tensor:
        """The projected context."""
        return self.layer(context.unsqueeze(-2) if self.row else context).flatten(2)


def _own(out_channels: int, in_channels: int, groups: int, kind: str, *, halves: bool) -> Tensor:
    """Which channels of its own position a convolution sees, (F, C)."""
    if halves:
        return paired(_own(out_channels // 2, in_channels, groups, kind, halves=False))
    return channel_mask(out_channels, in_channels, groups, include_current=kind == "B")
