"""Channels-last memory: of a map (B, C, H, W) the channels of a pixel lie side by side.

Many convolutions are faster in this layout, depthwise ones most of all. Shapes and their meaning stay the
same, and a convolution returns the layout of its kernel: converting the parameters is enough.
"""

import itertools
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def lay_channels_last(module: M) -> M:
    """Convert all parameters and buffers of four dimensions to this layout, in place.

    Values, names and saved states stay the same; results differ by rounding. (``Module.to`` converts as well,
    but refuses parameters of five dimensions, which Row LSTM has.)

    Args:
        module: a model, a guide, a network.

    Returns:
        The module.
    """
    for tensor in itertools.chain(module.parameters(), module.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return module
