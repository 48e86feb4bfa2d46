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

    Forward:    y = W x at every pixel,  W = Q L (U + diag(exp(s)))
    Inverse:    x = W^-1 y, by two triangular solves for W^-1
    log |det|:  H W sum_c s_c, without H W for vectors

    Q is a fixed random rotation, L unit lower and U strictly upper triangular. (The paper's Q is the
    permutation of a rotation's LU decomposition; so L and U start at the identity, and W stays well
    conditioned as they leave it.) The entries of L and U are stored times sqrt(C): equal steps of all of them
    turn W no further where there are more channels. Values keep their precision under autocast.

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

    rotation: Tensor
    rounding: Tensor

    def __init__(self, event_shape: int | Sequence[int]) -> None:
        super().__init__(event_shape)
        channels, *pixels = self.event_shape
        if channels < 2:
            raise ValueError(f"expected at least 2 channels to mix; got {channels}: ActNorm scales one")
        self.pixels, self.gain = math.prod(pixels), channels**-0.5
        rotation = _orthogonal(channels).to(torch.get_default_dtype())
        self.register_buffer("rotation", rotation)
        self.register_buffer("rounding", torch.linalg.slogdet(rotation.double()).logabsdet.to(rotation.dtype))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.triangles = nn.Parameter(torch.zeros(channels, channels))

    def weight(self) -> Tensor:
        """The matrix W, (C, C)."""
        with _without_autocast(self.triangles):
            lower, upper = self._factors()
            return self.rotation @ (lower @ upper)

    def inverse_weight(self) -> Tensor:
        """W^-1 = U^-1 L^-1 Q^-1, (C, C)."""
        lower, upper = self._factors()
        turned = self.rotation.T
        back = 2 * turned - turned @ self.rotation @ turned  # one step of Newton's: Q is rounded
        half = torch.linalg.solve_triangular(lower, back, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, half, upper=True)

    def _factors(self) -> tuple[Tensor, Tensor]:
        """The triangular factors L and U."""
        triangles = self.triangles * self.gain
        identity = torch.eye(len(triangles), dtype=triangles.dtype, device=triangles.device)
        return triangles.tril(-1) + identity, triangles.triu(1) + identity * self.log_scale.exp()

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        return self._mixed(x, self.weight()), self._log_det(x)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        return self._mixed(y, self.inverse_weight()), -self._log_det(y)

    def _mixed(self, x: Tensor, weight: Tensor) -> Tensor:
        with _without_autocast(x):
            if len(self.event_shape) == 1:
                return F.linear(x, weight)
            pixels = x.reshape(-1, len(weight), self.pixels)
            # the convolution by another name: on a CPU half to three quarters of conv2d's time
            return torch.bmm(weight.expand(len(pixels), -1, -1), pixels).view(x.shape)

    def _log_det(self, x: Tensor) -> Tensor:
        """Of W, with that of the rounded Q, which is not quite 0."""
        log_det = self.pixels * (self.log_scale.sum() + self.rounding)
        return log_det.to(x.dtype).expand(x.shape[: -len(self.event_shape)])


def _orthogonal(size: int) -> Tensor:
    """A random orthogonal matrix in double precision, uniform: signs make the QR decomposition unique."""
    q, r = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))
    return q * r.diagonal().sign()


def _without_autocast(x: Tensor) -> contextlib.AbstractContextManager[object]:
    device = x.device.type
    if device != "meta" and torch.is_autocast_enabled(device):  # which has none
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()
