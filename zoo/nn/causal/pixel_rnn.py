"""The base of the two recurrent networks of van den Oord et al. (2016), arXiv:1601.06759.

    layer(h) = h + conv1(LSTM(h))                       2h -> h -> 2h features

in the frame of `zoo.nn.causal.residual`. A convolution of all pixels at once is the input's part of the gates
(input-to-state); the neighbours' part (state-to-state) is computed row by row, or diagonal by diagonal.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distributions.ancestral import fixed_point
from flows.nn.conditioner import ContextProjection
from flows.nn.masked_conv import channel_mask
from zoo.nn.causal.convolution import CausalConv2d, masked_conv
from zoo.nn.causal.places import Place
from zoo.nn.causal.residual import ResidualCausalNetwork


class PixelRNN(ResidualCausalNetwork):
    """Base of `RowLSTM` and `DiagonalBiLSTM`, which define `layer`; a sample is found by `fixed_point`."""

    sampler = staticmethod(fixed_point)


class LSTMLayer(nn.Module):
    """A residual layer of `PixelRNN`: h + conv1(LSTM(h)); derive from it and define `recur`.

    Args:
        channels: h, of the state.
        taps: columns of the input-to-state convolution, the last of them the pixel's own.
        directions: in how many the recurrence runs, each with gates and initial states of its own.
        neighbours: whose states each gate gets.
        groups: see `CausalNetwork`.
        context: its shape, if there is one.
        size: (H, W).
    """

    def __init__(
        self,
        channels: int,
        *,
        taps: int,
        directions: int,
        neighbours: int,
        groups: int,
        context: tuple[int, ...] | None,
        size: Sequence[int],
    ) -> None:
        super().__init__()
        gates = 4 * directions
        mask = torch.ones(gates * channels, 2 * channels, 1, taps, dtype=torch.bool)
        mask[..., 0, -1] = channel_mask(channels, 2 * channels, groups, include_current=True).repeat(gates, 1)
        self.to_gates = CausalConv2d(
            2 * channels, gates * channels, (1, taps), top=0, left=taps - 1, mask=mask
        )
        self.state_to_gates = nn.Parameter(torch.empty(directions, neighbours * channels, 4 * channels))
        bound = (neighbours * channels) ** -0.5
        nn.init.uniform_(self.state_to_gates, -bound, bound)
        self.initial = nn.Parameter(torch.zeros(2, directions, 1, 1, channels))  # state and cell
        self.widen = masked_conv(channels, 2 * channels, 1, kind="B", groups=groups)
        self.context = ContextProjection(context, (gates * channels, *size)) if context else None

    def forward(self, h: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """The sum of h (N, 2h, H, W) and the layer's change; everywhere, the only place of a recurrence."""
        gates = self.to_gates(h)
        if self.context is not None and context is not None:
            gates = gates + _widened(self.context(context), gates.shape[-1])
        return h + self.widen(self.recur(gates))

    def recur(self, gates: Tensor) -> Tensor:
        """States (N, h, H, W) from the input's part of the gates, (N, 4h directions, H, W)."""
        raise NotImplementedError


def lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    r"""State and cell, (\*batch, h) each, of the gates o, f, i, g before their nonlinearities, (\*batch, 4h).

    c' = σ(f) c + σ(i) tanh(g),   s' = σ(o) tanh(c')
    """
    channels = cell.shape[-1]
    o, f, i = gates[..., : 3 * channels].sigmoid().chunk(3, dim=-1)
    cell = torch.addcmul(f * cell, i, gates[..., 3 * channels :].tanh())
    return o * cell.tanh(), cell


def _widened(added: Tensor, width: int) -> Tensor:
    """What a context adds; nothing in columns to the right of the image."""
    return added if added.shape[-1] == 1 else F.pad(added, (0, width - added.shape[-1]))
