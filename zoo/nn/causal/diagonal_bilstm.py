"""Diagonal BiLSTM (van den Oord, Kalchbrenner & Kavukcuoglu 2016), arXiv:1601.06759.

    (o, f, i, g)(r, c) = W h(r, c) + U s(r, c - 1) + V s(r - 1, c)
    c(r, c) = σ(f) c(r, c - 1) + σ(i) tanh(g),   s(r, c) = σ(o) tanh(c(r, c))

and the same from right to left; the map of that direction is moved down one row before both are added,
since it sees what is to the right. All pixels of a diagonal at once: on the map whose row r is moved
r columns to the right, they are a column.

As published, the last pixel of the row above is out of sight of a pixel more than four columns from the
right: its own features do not see it, and to its right there are none. So the map gets one more column.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.conversion import Natural
from zoo.nn.causal.pixel_rnn import LSTMLayer, PixelRNN, lstm_cell
from zoo.nn.causal.places import Place
from zoo.nn.causal.skew import skew, unskew
from zoo.settings import passes_on


class DiagonalBiLSTM(PixelRNN):
    """See the module's docstring; a sample is found by `fixed_point`.

    Args:
        image_shape: (C, H, W).
        features: F, of what is returned at each pixel.
        extra: columns of zeros to the right of the image; 0 is the paper's.
        options: of `ResidualCausalNetwork`.
    """

    @passes_on(PixelRNN)
    def __init__(
        self, image_shape: Sequence[int], features: int, *, extra: Natural = 1, **options: Any
    ) -> None:
        super().__init__(image_shape, features, **options)
        self.extra = extra

    def layer(self, channels: int, **options: Any) -> "DiagonalLayer":
        """Gates of two directions that see their pixel, and two states of the diagonal before."""
        return DiagonalLayer(channels, taps=1, directions=2, neighbours=2, **options)

    def features(self, x: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """Features everywhere, the only place at which a recurrence is evaluated."""
        return super().features(F.pad(x, (0, self.extra)), context, at)[..., : self.event_shape[-1]]


class DiagonalLayer(LSTMLayer):
    """A layer whose states follow from those before them in their row and above them."""

    def recur(self, gates: Tensor) -> Tensor:
        """States of both directions, added."""
        left, right = gates.chunk(2, dim=1)
        both = torch.stack([left, right.flip(-1)])
        left, right = unskew(self._diagonals(skew(both)))
        return left + F.pad(right.flip(-1), (0, 0, 1, 0))[..., :-1, :]

    def _diagonals(self, gates: Tensor) -> Tensor:
        """Skewed maps (2, N, 4h, H, D) to states (2, N, h, H, D); in the loop (2, H, N, h).

        Diagonal d crosses the rows ``top`` .. ``end`` - 1 of the image; nothing else is computed.
        """
        height, width = gates.shape[-2], gates.shape[-1] - gates.shape[-2] + 1
        first_state, first_cell = self.initial.expand(-1, -1, -1, gates.shape[1], -1)
        state, cell, states = first_state[:, :0], first_cell[:, :0], []
        for d, diagonal in enumerate(gates.permute(4, 0, 3, 1, 2).contiguous().unbind()):
            top, end = max(0, d + 1 - width), min(height, d + 1)
            # of the diagonal before, the rows top - 1 .. end - 1, those outside the image initial
            above, left = [first_state] * (top == 0), [first_state] * (d < height)
            before = torch.cat([*above, state, *left], dim=1)
            cell = torch.cat([cell[:, top > 0 :], *[first_cell] * (d < height)], dim=1)
            state, cell = lstm_cell(self._with_neighbours(diagonal[:, top:end], before), cell)
            states.append(F.pad(state, (0, 0, 0, 0, top, height - end)))
        return torch.stack(states).permute(1, 3, 4, 2, 0)

    def _with_neighbours(self, diagonal: Tensor, before: Tensor) -> Tensor:
        """The gates of a diagonal, with what the states of the one before it add."""
        neighbours = torch.cat([before[:, 1:], before[:, :-1]], dim=-1)  # in the row, and above
        gates = torch.baddbmm(diagonal.flatten(1, 2), neighbours.flatten(1, 2), self.state_to_gates)
        return gates.unflatten(1, diagonal.shape[1:3])
