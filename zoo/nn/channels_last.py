"""Channels-last memory: of a map (B, C, H, W) the channels of a pixel lie side by side.

Convolutions sum over channels, so many are faster so, depthwise ones most of all. PyTorch keeps shapes and
their meaning, and a convolution returns the layout of its kernel: laying out the parameters is enough.
"""

import itertools
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def lay_channels_last(module: M) -> M:
    """Lay out all parameters and buffers of four dimensions so, in place.

    Values are the same, names and saved states too; results differ by rounding. (``Module.to`` does so as
    well, but refuses parameters of five dimensions, which Row LSTM has.)

    Args:
        module: a model, a guide, a network.

    Returns:
        The module.
    """
    for tensor in itertools.chain(module.parameters(), module.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return module
