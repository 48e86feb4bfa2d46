"""Data-dependent initialisation of weight-normalised systems (Salimans & Kingma 2016, arXiv:1602.07868).

Model and guide run together once, on one batch. Each weight-normalised layer, when it is first called, sets
its gain g and bias b so that its output has mean 0 and a chosen standard deviation in every channel; what
follows it receives that output. Only `initialise` does this, not training, not evaluation, not
loading: which layers it has set is saved with their parameters.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pyro.poutine.messenger import unwrap
from torch import Tensor, nn

from zoo.infer.joint import Joint
from zoo.infer.programs import evaluating

FEWEST_IMAGES = 3


@torch.no_grad()
def initialise(model: Any, guide: Any, x: Tensor, *, scale: float = 0.01) -> int:
    """Set the gains and biases of all weight-normalised layers that are not initialised yet, from a batch.

    The programs are in evaluation mode during the call, so that the statistics are those of the networks and
    not of one dropout mask (the published codes leave dropout on). The noise is PyTorch's own: the same seed
    gives the same result. A layer that is called several times is initialised by its first call. A second
    `initialise` finds nothing to do and runs nothing.

    Initialise before the first step and before the weights are averaged or distributed: those copies take the
    parameters and what is saved with them as they are.

    Args:
        model: a Pyro program, called ``model(x)``.
        guide: a `Guide`, or any Pyro program, called ``guide(x)``.
        x: (B, ...), at least 3 images; some dozens are better.
        scale: standard deviation of every layer's output. 0.01 is that of BIVA's published code
            (arXiv:1902.02102 gives none), where g is multiplied by 0.01 / sd; Salimans & Kingma take 1. A
            `PixelCNNpp` counts as one layer and has its own.

    Returns:
        How many layers were initialised now: 0 where there are none, or none is left.

    Warns:
        UserWarning: naming the layers that the run did not reach; they stay as they are, until another call
            reaches them.

    Raises:
        ValueError: for fewer than 3 images, or if a layer's output is not finite; layers that came before
            it are initialised then.
    """
    waiting = _waiting(model, guide)
    if not waiting:
        return 0
    if len(x) < FEWEST_IMAGES:
        raise ValueError(
            f"expected at least {FEWEST_IMAGES} images to take standard deviations of; got {len(x)}: "
            "initialise on a training batch of some dozens"
        )
    with evaluating(model, guide), _standardising(waiting, scale):
        for site in Joint(model, guide, x).sample().values():
            site.log_p()  # a density may run its network only now
    unreached = [name for name, layer in waiting.items() if layer.needs_initialisation]
    if unreached:
        warnings.warn(
            f"not initialised, for the run never reached them: {', '.join(unreached)}", stacklevel=3
        )
    return len(waiting) - len(unreached)


def start_at_images(model: Any, guide: Any, images: Callable[[], Tensor]) -> int:
    """Call ``start_at(images())`` of those parts that ask for it by an attribute ``starts_at_images``.

    Args:
        model: a Pyro program.
        guide: a `Guide`, or any Pyro program.
        images: called where there are such parts, returns training images (B, ...) as the likelihood takes
            them, the more the better.

    Returns:
        How many parts there were.

    Raises:
        ValueError: if a part cannot start at these.
    """
    parts: list[Any] = [m for m in _named(model, guide).modules() if getattr(m, "starts_at_images", False)]
    x = images() if parts else None
    for part in parts:
        part.start_at(x)
    return len(parts)


def _named(model: Any, guide: Any) -> nn.ModuleDict:
    """The programs that are modules, by their role."""
    programs = {"model": unwrap(model), "guide": unwrap(guide)}
    return nn.ModuleDict({name: p for name, p in programs.items() if isinstance(p, nn.Module)})


def _waiting(model: Any, guide: Any) -> dict[str, Any]:
    """The modules that initialise themselves on their first input and have not, by name; shared ones once."""
    named = _named(model, guide).named_modules()
    return {name: m for name, m in named if getattr(m, "needs_initialisation", False)}


@contextmanager
def _standardising(waiting: dict[str, Any], scale: float) -> Iterator[None]:
    """Each module standardises itself by the arguments of its first call, before that call."""

    def first_call(name: str, layer: Any, args: Any, options: Any) -> None:
        if layer.needs_initialisation:
            try:
                layer.standardise(*args, **options, scale=scale)
            except ValueError as error:
                raise ValueError(f"layer {name}: {error}") from error

    def hook(name: str, layer: Any) -> Any:
        return layer.register_forward_pre_hook(
            lambda module, args, options: first_call(name, module, args, options), with_kwargs=True
        )

    hooks = [hook(name, layer) for name, layer in waiting.items()]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()
