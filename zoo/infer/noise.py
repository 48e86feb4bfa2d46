"""Noise that belongs to an importance sample, not to the chunk in which it happens to be drawn.

Sample i of a run reads its own stream of random numbers. So K samples are the same K
samples in whatever chunks they are drawn, and a run can be split, resumed or checked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.infer.handlers import Draws
from zoo.seeds import mixed_seed


def default_generator(device: torch.device) -> torch.Generator:
    """The generator that random operations on `device` read when they are given none."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    return torch.default_generator


class SampleStreams(Draws):
    """Draws each sample statement over N = k B images from k streams, one an importance sample.

    Cost: one small random operation a sample and site instead of one a site.

    Args:
        seed: of all streams.
        start, stop: which samples this run draws; k = stop - start.
        device: that the noise is drawn on.
    """

    def __init__(self, seed: int, start: int, stop: int, device: torch.device) -> None:
        super().__init__()
        self.default = default_generator(device)
        first = mixed_seed(seed)
        # consecutive, since PyTorch's generator on the CPU keeps 32 bits of a seed: no two are the same
        seeds = ((first + i) % 2**32 for i in range(start, stop))
        self.states = [torch.Generator(device).manual_seed(s).get_state() for s in seeds]

    def draw(self, msg: Any) -> None:
        """Set the message's value, drawn from the streams."""
        with _DrawnInParts(self.states, self.default):
            super().draw(msg)


class _DrawnInParts(TorchDispatchMode):
    """Runs every random operation over N rows as k operations over N / k rows, each on its own stream."""

    def __init__(self, states: list[Tensor], default: torch.Generator) -> None:
        super().__init__()
        self.states, self.default = states, default

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        rows = _leading(args)
        if rows % len(self.states):  # not an operation over the batch
            return func(*args, **kwargs)
        with _restored(self.default):
            parts = [
                self._on_stream(i, func, part, kwargs)
                for i, part in enumerate(_split(args, rows, len(self.states)))
            ]
        in_place = func._schema.is_mutable
        return args[0] if in_place else torch.cat(parts)

    def _on_stream(self, i: int, func: Any, args: Any, kwargs: Any) -> Any:
        self.default.set_state(self.states[i])
        result = func(*args, **kwargs)
        self.states[i] = self.default.get_state()
        return result


def _leading(args: Any) -> int:
    """Rows of a random operation: of its first tensor, or of its size argument; 1 where there is none."""
    first = args[0] if args else None
    if isinstance(first, Tensor):
        return first.shape[0] if first.dim() else 1
    return int(first[0]) if isinstance(first, (list, tuple)) and first else 1


def _split(args: Any, rows: int, k: int) -> Iterator[Any]:
    """The arguments of each of k equal parts of an operation over `rows` rows."""
    n = rows // k
    for i in range(k):
        yield tuple(_part(arg, rows, slice(i * n, (i + 1) * n)) for arg in args)


def _part(arg: Any, rows: int, where: slice) -> Any:
    if isinstance(arg, Tensor) and arg.dim() and arg.shape[0] == rows:
        return arg[where]
    if isinstance(arg, (list, tuple)) and arg and arg[0] == rows:
        return [where.stop - where.start, *arg[1:]]
    return arg


@contextmanager
def _restored(generator: torch.Generator) -> Iterator[None]:
    state = generator.get_state()
    try:
        yield
    finally:
        generator.set_state(state)
