"""Normalisation and activation before a convolution of a cell: ``preactivation(channels)``.

The rows of the ablation in NVAE's paper (Vahdat & Kautz 2020), arXiv:2007.03898, table 3.
"""

from torch import nn

from zoo.nn.activations import ELU

MOMENTUM = 0.05  # of a batch in the running statistics


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation whose running statistics follow slowly, momentum 0.05."""
    return nn.BatchNorm2d(channels, momentum=MOMENTUM)


def batch_norm_swish(channels: int) -> nn.Sequential:
    """Batch normalisation, then x sigmoid(x): what NVAE puts before a convolution."""
    return nn.Sequential(batch_norm(channels), nn.SiLU())


def batch_norm_elu(channels: int) -> nn.Sequential:
    """Batch normalisation, then ELU (the paper's ablation)."""
    return nn.Sequential(batch_norm(channels), ELU())


def elu_only(channels: int) -> ELU:
    """ELU, the convolutions being weight-normalised anyway (the paper's ablation)."""
    return ELU()
