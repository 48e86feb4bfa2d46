r"""The last layer of a network: y = W h / sqrt(fan-in) + b, which starts at zero.

Every step of Adam moves all weights alike, and y by their sum. So divided, a wide network's y moves no faster
than a narrow one's, and a flow stays well conditioned whatever its width. Rates of 5e-3 to 1e-2 suit Adam.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class DenseOutput(nn.Linear):
    """The dense layer, for vectors.

    Args:
        in_features: D, the fan-in.
        out_features: D'.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.gain = gain(in_features)
        zero(self)

    def forward(self, h: Tensor) -> Tensor:
        """The layer's output y."""
        return F.linear(h, self.weight * self.gain, self.bias)


class ConvOutput(nn.Conv2d):
    """The convolution, for images.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel: odd; zeros pad the image. The fan-in is C kernel^2.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2)
        self.gain = gain(in_channels * kernel**2)
        zero(self)

    def forward(self, h: Tensor) -> Tensor:
        """The layer's output y."""
        return self._conv_forward(h, self.weight * self.gain, self.bias)


def gain(fan_in: int) -> float:
    """The constant factor of a layer's weight, 1 / sqrt(fan-in)."""
    return max(1, fan_in) ** -0.5


def zero(layer: nn.Module) -> None:
    """Set a layer's parameters to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
