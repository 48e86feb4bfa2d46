"""Activation checkpoints: the inside of a block is not kept for the backward pass, but computed again in it.

Memory for time (Chen et al. 2016, arXiv:1604.06174): only the inputs and outputs of a checkpointed block are
kept, at the price of running it twice. Loss and gradients are the same bits. For pure functions only: a Pyro
sample inside would be drawn twice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpoint_activations(module: nn.Module, kinds: type | tuple[type, ...]) -> nn.Module:
    """Checkpoint every submodule of some classes, in place, or the module itself.

    Parameters and their names stay as they are: a saved state of either loads in the other. The whole of
    a submodule is run again at once, so choose the longest runs of layers between samples; what is inside
    them is not changed.

    Args:
        module: a model, a guide, a network.
        kinds: of pure functions, called with positional arguments.

    Returns:
        The module.

    Raises:
        ValueError: if the module has no such submodule.
    """
    if not (isinstance(module, kinds) or any(isinstance(m, kinds) for m in module.modules())):
        raise ValueError(
            f"{type(module).__name__} has no submodule of {kinds}: there is nothing to checkpoint"
        )
    _checkpoint(module, kinds)
    return module


def _checkpoint(module: nn.Module, kinds: Any) -> None:
    if isinstance(module, kinds):
        if not isinstance(module.forward, Checkpointed):
            module.forward = Checkpointed(module.forward)
        return
    for child in module.children():
        _checkpoint(child, kinds)


class Checkpointed:
    """A module's ``forward`` under an activation checkpoint, in training where gradients are wanted.

    In evaluation mode, and without gradients, it is the plain call. Dropout draws the same mask both times,
    and batch normalisation takes the batch into its running statistics once.

    Args:
        forward: bound method of the module.

    Attributes:
        forward: what is called, twice; may be replaced by another function of the same values.
        module: the module.
    """

    def __init__(self, forward: Callable[..., Any]) -> None:
        bound: Any = forward
        self.forward, self.module = bound, bound.__self__

    def __call__(self, *args: Any) -> Any:
        """What the module returns."""
        if self.module.training and torch.is_grad_enabled():
            return checkpoint(self.forward, *args, use_reentrant=False, **self._contexts())
        return self.forward(*args)

    def _contexts(self) -> dict[str, Any]:
        layers = [m for m in self.module.modules() if isinstance(m, _BatchNorm)]
        return {"context_fn": lambda: (nullcontext(), frozen_statistics(layers))} if layers else {}


@contextmanager
def frozen_statistics(layers: list[Any]) -> Iterator[None]:
    """Running statistics that stay as they are, while the batch is still normalised by its own."""
    kept = [(layer, layer.momentum, layer.num_batches_tracked) for layer in layers]
    try:
        for layer in layers:
            layer.momentum, layer.num_batches_tracked = 0.0, None
        yield
    finally:
        for layer, momentum, count in kept:
            layer.momentum, layer.num_batches_tracked = momentum, count
