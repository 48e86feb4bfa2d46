"""The exponential moving average of a loss's parameters, with which a run is evaluated."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class ParameterAverage(AveragedModel):
    """The exponential moving average of the parameters of a module, in evaluation mode.

        average <- d average + (1 - d) parameter,    d = min(decay, (1 + n) / (10 + n)),  n = updates before

    The first update copies. Without the smaller decay of the first steps the average of a short run would
    still be what the run began with (as in TensorFlow's ``ExponentialMovingAverage``). Buffers are copied,
    flags and counters among them, so a layer that its first batch initialises is initialised in the copy too.

    `AveragedModel` walks both modules at every update, which takes longer than a small model's optimiser.
    Here the parameters are listed once, as an optimiser lists them. Buffers are looked up in their modules
    each time: a module may replace one.

    Args:
        loss: the module; it is copied.
        decay: in (0, 1), for an update.
    """

    def __init__(self, loss: nn.Module, decay: float) -> None:
        super().__init__(loss)
        self.decay = decay
        self._groups = _by_kind(self.module, loss)
        copies = zip(self.module.modules(), loss.modules(), strict=True)
        self._buffer_owners = [(copy._buffers, own._buffers) for copy, own in copies if own._buffers]
        self.eval()  # a call of the copy must not initialise it or move its running statistics

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards the parameters of `model`, the module that it was made of."""
        n = int(self.n_averaged)  # it stays on the CPU: reading it waits for no device
        weight = 1 - min(self.decay, (1 + n) / (10 + n)) if n else 1.0
        for averaged, current in self._groups:
            torch._foreach_lerp_(averaged, current, weight)
        for copies, own in self._buffer_owners:
            for name, value in own.items():
                kept = copies[name]
                if kept is not None and value is not None:
                    kept.copy_(value, non_blocking=True)
        self.n_averaged += 1


def _by_kind(copy: nn.Module, own: nn.Module) -> list[tuple[list[Tensor], list[Tensor]]]:
    """The parameters of both, listed by device and type, as ``foreach`` operations take them."""
    groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
    for averaged, current in zip(copy.parameters(), own.parameters(), strict=True):
        lists = groups.setdefault((current.device, current.dtype), ([], []))
        lists[0].append(averaged)
        lists[1].append(current)
    return list(groups.values())
