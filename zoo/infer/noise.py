"""Noise of an importance sample, which does not depend on the chunk in which it is drawn.

Sample i of a run reads its own stream of random numbers. So K samples are the same K samples in chunks of any
size, and a run can be split, resumed or repeated where there is less memory.

A pass over k samples of B images draws every random operation in k parts, each of B rows and each from the
stream of its sample. That is possible where the operation's rows are those of the batch. Where they are not
(the uniform noise (3, N) of a von Mises' rejection sampler), or the operation is not visible (TorchScript),
the pass is refused by a `NotByRowError`, and `zoo.log_weights` draws such samples one by one: a pass of one
sample needs no parts.

One seed per chunk would be simpler, but then the result would depend on the chunk; one seed per fixed block
of samples would fix how many rows a pass has, and so its memory. The parts take time where networks are tiny:
1.5 to 2.3 times that of a pass for a VAE of 4 latents and 30 pixels, 1.0 to 1.2 for a BIVA of 3 layers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.infer.handlers import Draws
from zoo.seeds import mixed_seed


class NotByRowError(Exception):
    """Noise of several samples that cannot be drawn in one part a sample."""


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
        """Set the message's value, drawn from the streams.

        Raises:
            NotByRowError: if there are several and the noise cannot be drawn in parts.
        """
        with _restored(self.default):
            if len(self.states) == 1:
                self.default.set_state(self.states[0])
                super().draw(msg)
                self.states[0] = self.default.get_state()
            else:
                self._draw_in_parts(msg)

    def _draw_in_parts(self, msg: Any) -> None:
        batch = msg["fn"].batch_shape
        if len(batch) != 1:  # plates within the image: the first dimension need not be the batch
            raise NotByRowError
        before = self.default.get_state()
        with _DrawnInParts(self.states, self.default, batch[0]):
            super().draw(msg)
        if not torch.equal(self.default.get_state(), before):  # something was drawn unseen
            raise NotByRowError


class _DrawnInParts(TorchDispatchMode):
    """Runs every random operation over N rows as k operations over N / k rows, each on its own stream."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch would import its compiler, 2 s, at the first draw; nothing here is compiled

    def __init__(self, states: list[Tensor], default: torch.Generator, rows: int) -> None:
        super().__init__()
        self.states, self.default, self.rows = states, default, rows

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        rows = self._rows(args)
        with _restored(self.default):
            parts = [
                self._on_stream(i, func, part, kwargs)
                for i, part in enumerate(_split(args, rows, len(self.states)))
            ]
        in_place = func._schema.is_mutable
        return args[0] if in_place else torch.cat(parts)

    def _rows(self, args: Any) -> int:
        """The first size of an operation, N or a multiple of it, where dimensions were joined.

        Raises:
            NotByRowError: if it is neither, or another size could be the batch as well.
        """
        first, *others = _shape(args) or (1,)
        if first % self.rows or any(size % self.rows == 0 for size in others):
            raise NotByRowError
        return first

    def _on_stream(self, i: int, func: Any, args: Any, kwargs: Any) -> Any:
        self.default.set_state(self.states[i])
        result = func(*args, **kwargs)
        self.states[i] = self.default.get_state()
        return result


def _shape(args: Any) -> tuple[int, ...]:
    """Of a random operation: that of its first tensor, or its size argument; () where there is none."""
    first = args[0] if args else None
    if isinstance(first, Tensor):
        return tuple(first.shape)
    return tuple(first) if isinstance(first, (list, tuple)) else ()


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
