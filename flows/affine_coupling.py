"""The affine coupling of RealNVP (Dinh, Sohl-Dickstein & Bengio 2016), arXiv:1605.08803, on vectors."""

import itertools
from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions.torch_transform import TransformModule
from torch import Tensor, nn

SCALE_BOUND = 3.0  # |log scale| stays below it: one coupling stretches by at most e^3


class AffineCoupling(TransformModule):
    r"""One part of the vector passes and tells how the other is scaled and shifted.

    Forward:    y_a = x_a,  y_b = x_b exp(s(x_a)) + t(x_a)
    Inverse:    x_a = y_a,  x_b = (y_b - t(y_a)) exp(-s(y_a))
    log |det|:  sum_i s_i(x_a)

    s is bounded by 3 tanh(. / 3). The network's last layer starts at zero, the transform at the identity. One
    network call in either direction.

    Args:
        features: D >= 2.
        flip: whether the first half is the one that changes, instead of the second; alternate it.
        hidden: widths of the network's hidden layers.

    Shapes: x (*batch, D); log |det| (*batch).

    Raises:
        ValueError: if D < 2, where nothing would be left to change.
    """

    bijective = True
    domain = dist.constraints.real_vector
    codomain = dist.constraints.real_vector

    def __init__(self, features: int, *, flip: bool = False, hidden: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        if features < 2:
            raise ValueError(f"a coupling needs at least 2 features; got {features}")
        self.sizes = [features // 2, features - features // 2]
        self.flip = flip
        passed, changed = self.sizes[::-1] if flip else self.sizes
        self.net = _mlp([passed, *hidden, 2 * changed])

    def _call(self, x: Tensor) -> Tensor:
        a, b = self._split(x)
        s, t = self._scale_and_shift(a)
        return self._join(a, b * s.exp() + t)

    def _inverse(self, y: Tensor) -> Tensor:
        a, b = self._split(y)
        s, t = self._scale_and_shift(a)
        return self._join(a, (b - t) * torch.exp(-s))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Log |det dy/dx|, (*batch)."""
        s, _ = self._scale_and_shift(self._split(x)[0])
        return s.sum(-1)

    def _scale_and_shift(self, a: Tensor) -> Any:
        s, t = self.net(a).chunk(2, dim=-1)
        return SCALE_BOUND * torch.tanh(s / SCALE_BOUND), t

    def _split(self, x: Tensor) -> Any:
        first, second = x.split(self.sizes, dim=-1)
        return (second, first) if self.flip else (first, second)

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([b, a] if self.flip else [a, b], dim=-1)


def _mlp(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ELU()]
    last = layers[-2]
    nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers[:-1])
