"""Activation normalisation: a scale and a shift per channel, initialised from the first batch."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from flows.flow import Flow, Pass


class ActNorm(Flow):
    r"""One scale and one shift per channel (Glow, Kingma & Dhariwal 2018), arXiv:1807.03039, section 3.1.

    Forward:    y = x exp(s) + b
    Inverse:    x = (y - b) exp(-s)
    log |det|:  H W sum_c s_c, without H W for vectors

    The first call in training mode sets s and b such that its output has mean 0 and standard deviation 1 in
    every channel, whichever the direction; over all processes, where ``torch.distributed`` runs. From then on
    both are ordinary parameters. The buffer ``initialised`` records that, so it is saved, copied and averaged
    with them. In evaluation mode, and so before the first batch, the map is that of its parameters, at first
    the identity. A channel that is constant, as any feature is in a batch of one vector, is moved to 0 but
    not scaled.

    Args:
        event_shape: D, with one scale per feature, or (C, H, W), with one per channel.

    Attributes:
        initialised: whether a batch has set s and b.
    """

    initialised: Tensor

    def __init__(self, event_shape: int | Sequence[int]) -> None:
        super().__init__(event_shape)
        channels, *pixels = self.event_shape
        self.log_scale = nn.Parameter(torch.zeros(channels, *(1 for _ in pixels)))
        self.shift = nn.Parameter(torch.zeros_like(self.log_scale))
        self.pixels = math.prod(pixels)
        self.register_buffer("initialised", torch.tensor(False))
        self._seen_initialised = False  # a true buffer is not read again: it synchronises

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        if self.training and self._is_set_by(x):
            mean, log_sd = self._statistics(x)
            self._initialise(-log_sd, -mean * torch.exp(-log_sd))
        return torch.addcmul(self.shift, x, self.log_scale.exp()), self._log_det(x, self.log_scale)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        if self.training and self._is_set_by(y):
            mean, log_sd = self._statistics(y)
            self._initialise(log_sd, mean)
        scale = torch.exp(-self.log_scale)
        return torch.addcmul(-self.shift * scale, y, scale), self._log_det(y, -self.log_scale)

    def _is_set_by(self, x: Tensor) -> bool:
        """Whether x is the first batch; an empty one is none, unless other processes have the rest of it."""
        self._seen_initialised = self._seen_initialised or bool(self.initialised)
        return not self._seen_initialised and (x.numel() > 0 or _is_one_of_several())

    def _log_det(self, x: Tensor, log_scale: Tensor) -> Tensor:
        return (self.pixels * log_scale.sum()).to(x.dtype).expand(x.shape[: -len(self.event_shape)])

    @torch.no_grad()
    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of every channel, 0 for a constant one."""
        x = x.to(self.shift.dtype).reshape(-1, *self.event_shape)
        mean = self._mean(x)
        sd = self._mean((x - mean).square()).sqrt()
        constant = sd <= 100 * torch.finfo(sd.dtype).eps * mean.abs()
        return mean, torch.where(constant, 1.0, sd).log()

    def _mean(self, x: Tensor) -> Tensor:
        dims = [d for d in range(x.dim()) if d != 1]
        total = x.sum(dims)
        count = torch.full_like(total, x.numel() // self.event_shape[0])
        if _is_one_of_several():
            torch.distributed.all_reduce(total)
            torch.distributed.all_reduce(count)
        return (total / count).view_as(self.shift)

    @torch.no_grad()
    def _initialise(self, log_scale: Tensor, shift: Tensor) -> None:
        self.log_scale.copy_(log_scale)
        self.shift.copy_(shift)
        self.initialised.fill_(True)
        self._seen_initialised = True

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._seen_initialised = bool(self.initialised)


def _is_one_of_several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
