"""A gradient taken in parts, for batches whose backward pass does not fit into memory."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel


def backward(run_loss: Any, loss: Any, x: Tensor, *, parts: int = 1) -> Tensor:
    """Add the gradient of the mean loss of the images x (B, ...) to the parameters'; returns that mean.

        loss(x) = sum_i |x_i| / |x| loss(x_i),    x_i the parts

    This is one batch's gradient where the loss is a mean over the images; what a network takes from a whole
    batch, such as the statistics of batch normalisation, it takes from a part.

    Args:
        run_loss: what computes the loss: itself, compiled, or synchronised between processes.
        loss: whose ``stats``, if it has any, become the mean of the parts'.
        x: images.
        parts: how many, of equal sizes as far as B can be divided so.
    """
    if parts == 1:
        value = run_loss(x)
        value.backward()
        return value.detach()
    total: Tensor = torch.zeros((), device=x.device)
    stats: dict[str, Any] = {}
    pieces = x.chunk(parts)
    for i, piece in enumerate(pieces, 1):
        share = len(piece) / len(x)
        with nullcontext() if i == len(pieces) else _unsynchronised(run_loss):
            value = share * run_loss(piece)
            value.backward()
        total = total + value.detach()
        for name, stat in getattr(loss, "stats", {}).items():
            stats[name] = stats.get(name, 0) + share * stat
    if stats:
        loss.stats = stats
    return total


def _unsynchronised(run_loss: Any) -> AbstractContextManager[Any]:
    """No exchange of gradients: that of the last part exchanges the sum of all."""
    if isinstance(run_loss, DistributedDataParallel):
        return run_loss.no_sync()
    return nullcontext()
