"""Row LSTM (van den Oord, Kalchbrenner & Kavukcuoglu 2016), arXiv:1601.06759.

    (o, f, i, g)(r) = conv_is(h)(r) + conv_ss(s(r - 1))         1 x 3, the first with mask B
    c(r) = σ(f) c(r - 1) + σ(i) tanh(g),   s(r) = σ(o) tanh(c(r))

All pixels of a row at once. A pixel sees a triangle above it: a state of the row above reaches one column
further to the right. `DiagonalBiLSTM` sees everything.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.nn.causal.pixel_rnn import LSTMLayer, PixelRNN, lstm_cell


class RowLSTM(PixelRNN):
    """See the module's docstring."""

    def layer(self, channels: int, **options: Any) -> "RowLayer":
        """Gates that see two pixels of their row, and three states of the row above."""
        return RowLayer(channels, taps=2, directions=1, neighbours=3, **options)


class RowLayer(LSTMLayer):
    """A layer whose states follow from those of the row above: to the left, above, and to the right."""

    def recur(self, gates: Tensor) -> Tensor:
        """States, row by row; in the loop, features come last: (W, N, h)."""
        rows = gates.permute(2, 3, 0, 1).contiguous().unbind()
        state, cell = self.initial[:, 0].expand(-1, *rows[0].shape[:2], -1)
        states = []
        for row in rows:
            state, cell = lstm_cell(self._with_neighbours(row, state), cell)
            states.append(state)
        return torch.stack(states).permute(2, 3, 0, 1)

    def _with_neighbours(self, row: Tensor, above: Tensor) -> Tensor:
        """The gates of a row, with what the states of the row above add."""
        padded = F.pad(above, (0, 0, 0, 0, 1, 1))
        neighbours = torch.cat([padded[:-2], above, padded[2:]], dim=-1)
        gates = torch.addmm(row.flatten(0, 1), neighbours.flatten(0, 1), self.state_to_gates[0])
        return gates.view_as(row)
