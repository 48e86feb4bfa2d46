"""A linear map of the channels, the same at every pixel, whose inverse and determinant are cheap."""

import contextlib
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.flow import Flow, Pass


class InvertibleConv(Flow):
    r"""The invertible 1x1 convolution (Glow, Kingma & Dhariwal 2018), arXiv:1807.03039, section 3.2.

    Forward:    y = W x at every pixel,  W = P L (U + diag(sign exp(s)))
    Inverse:    x = W^-1 y, by two triangular solves for W^-1
    log |det|:  H W sum_c s_c, without H W for vectors

    P is a fixed permutation, L unit lower and U strictly upper triangular, sign is fixed; all of them come
    from the random orthogonal matrix that W starts at. Values keep their precision under autocast.

    Args:
        event_shape: (C, H, W), or D for a linear map of vectors.

    Raises:
        ValueError: if there is one channel.

    >>> import torch
    >>> flow = InvertibleConv((3, 2, 2))
    >>> x = torch.randn(3, 2, 2)
    >>> torch.allclose(flow(x).norm(), x.norm())  # fresh, a rotation
    True
    """

    permutation: Tensor
    signs: Tensor

    def __init__(self, event_shape: int | Sequence[int]) -> None:
        super().__init__(event_shape)
        channels, *pixels = self.event_shape
        if channels < 2:
            raise ValueError(f"expected at least 2 channels to mix; got {channels}: ActNorm scales one")
        self.pixels = math.prod(pixels)
        permutation, lower, upper = torch.linalg.lu(_orthogonal(channels))
        diagonal = upper.diagonal()
        dtype = torch.get_default_dtype()
        self.register_buffer("permutation", permutation.argmax(1))
        self.register_buffer("signs", diagonal.sign().to(dtype))
        self.log_scale = nn.Parameter(diagonal.abs().log().to(dtype))
        self.triangles = nn.Parameter((lower.tril(-1) + upper.triu(1)).to(dtype))

    def weight(self) -> Tensor:
        """W, (C, C)."""
        with _without_autocast(self.triangles):
            lower, upper = self._factors()
            return (lower @ upper)[self.permutation]

    def inverse_weight(self) -> Tensor:
        """W^-1, (C, C)."""
        lower, upper = self._factors()
        permuted = self._identity()[:, self.permutation]
        half = torch.linalg.solve_triangular(lower, permuted, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, half, upper=True)

    def _factors(self) -> tuple[Tensor, Tensor]:
        """L and U with its diagonal."""
        diagonal = self.signs * self.log_scale.exp()
        lower = self.triangles.tril(-1) + self._identity()
        return lower, self.triangles.triu(1) + self._identity() * diagonal

    def _identity(self) -> Tensor:
        return torch.eye(len(self.signs), dtype=self.signs.dtype, device=self.signs.device)

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        return self._mixed(x, self.weight()), self._log_det(x, self.log_scale)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        return self._mixed(y, self.inverse_weight()), self._log_det(y, -self.log_scale)

    def _mixed(self, x: Tensor, weight: Tensor) -> Tensor:
        with _without_autocast(x):
            if len(self.event_shape) == 1:
                return F.linear(x, weight)
            pixels = x.reshape(-1, len(weight), self.pixels)
            # the convolution by another name: on a CPU half to three quarters of conv2d's time
            return torch.bmm(weight.expand(len(pixels), -1, -1), pixels).view(x.shape)

    def _log_det(self, x: Tensor, log_scale: Tensor) -> Tensor:
        return (self.pixels * log_scale.sum()).to(x.dtype).expand(x.shape[: -len(self.event_shape)])


def _orthogonal(size: int) -> Tensor:
    """A random orthogonal matrix in double precision, uniform: signs make the QR decomposition unique."""
    q, r = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))
    return q * r.diagonal().sign()


def _without_autocast(x: Tensor) -> contextlib.AbstractContextManager[object]:
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()
