"""Regional compilation: the networks that occur several times in a system are compiled, each kind once.

A block is a network (`zoo.training.precision.is_network`) of two or more layers with parameters, of which the
system has another of the same class and the same shapes of parameters; the outermost such. PyTorch compiles
the first of a kind, and the others of its kind reuse that code with parameters of their own: a kind at one
resolution takes seconds where the whole loss takes minutes. Everything else, Pyro's programs and the
densities, runs as it is.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from zoo.errors import UsageError
from zoo.infer.compilation import one_line_errors
from zoo.nn.checkpointed import Checkpointed
from zoo.training.precision import is_network

KINDS = 256  # at most, of the blocks of a class; PyTorch's own limit is 8
ROUNDS = 3  # of eager and compiled steps, in turn, whose best are compared


class CompiledBlocks:
    """The blocks of a module, which run compiled while this is `on`.

    Otherwise the module is what it was: copies, saved states and evaluation know nothing of it. Shapes are
    constants of the compiled code, so that a run has the same bits wherever it was resumed. What cannot be
    compiled runs as it is.

    Args:
        module: whose networks they are.
        backend: of ``torch.compile``.

    Raises:
        UsageError: if no network occurs twice.
    """

    def __init__(self, module: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
        self.blocks = repeated(module)
        if not self.blocks:
            raise UsageError(
                "expected a system in which some network occurs twice, for compile=blocks; got one without: "
                "leave it false, or compile the whole loss, compile=true"
            )
        self._counted = CountingBackend(backend)
        self._compiled = [
            (caller, torch.compile(caller.forward, dynamic=False, backend=self._counted))
            for caller in map(_caller, self.blocks)
        ]

    @property
    def kinds(self) -> int:
        """Graphs that were compiled so far."""
        return self._counted.graphs

    @contextmanager
    def on(self) -> Iterator[None]:
        """Blocks compiled inside this.

        Raises:
            UsageError: if there is no compiler, or a gradient of a gradient is taken.
        """
        plain = [(caller, caller.__dict__.get("forward")) for caller, _ in self._compiled]
        for caller, compiled in self._compiled:
            caller.forward = compiled
        try:
            with one_line_errors(), torch._dynamo.config.patch(recompile_limit=KINDS):
                yield
        finally:
            for caller, forward in plain:
                if forward is None:
                    del caller.forward
                else:
                    caller.forward = forward

    def compile(self, step: Callable[[], Any]) -> str:
        """Compile by calling `step`, a forward and a backward pass, and say what that costs and brings."""
        step()  # allocates, and fills what PyTorch remembers
        with self.on():
            spent = _seconds(step)
        eager, compiled = [], []
        for _ in range(ROUNDS):
            eager.append(_seconds(step))
            with self.on():
                compiled.append(_seconds(step))
        return (
            f"compiled {len(self.blocks)} blocks of {self.kinds} kinds in {spent:.0f} s; "
            f"a step takes {min(compiled) / min(eager):.2f} of an eager one"
        )


class CountingBackend:
    """A backend of ``torch.compile`` that counts the graphs that it is given.

    Args:
        backend: what compiles them.
    """

    def __init__(self, backend: str | Callable[..., Any]) -> None:
        self.backend = backend
        self.graphs = 0

    def __call__(self, graph: Any, inputs: Any, **options: Any) -> Any:
        """The graph, compiled."""
        self.graphs += 1
        return torch._dynamo.lookup_backend(self.backend)(graph, inputs, **options)


def repeated(module: nn.Module) -> list[nn.Module]:
    """The outermost networks of several layers that have twins in the module, see the module's docstring."""
    kinds = Counter(_kind(part) for part in module.modules() if _is_block(part))
    return list(_outermost(module, lambda part: _is_block(part) and kinds[_kind(part)] > 1, set()))


def _outermost(
    module: nn.Module, wanted: Callable[[nn.Module], bool], seen: set[nn.Module]
) -> Iterator[nn.Module]:
    if module in seen:
        return
    seen.add(module)
    if wanted(module):
        yield module
        return
    for child in module.children():
        yield from _outermost(child, wanted, seen)


def _is_block(module: nn.Module) -> bool:
    layers = (part for part in module.modules() if part._parameters)
    return is_network(module) and next(layers, None) is not None and next(layers, None) is not None


def _kind(module: nn.Module) -> tuple[Any, ...]:
    return type(module), tuple((name, tuple(p.shape)) for name, p in module.named_parameters())


def _caller(block: Any) -> Any:
    """Whose ``forward`` runs the block: its own, or that of its activation checkpoint."""
    return block.forward if isinstance(block.forward, Checkpointed) else block


def _seconds(step: Callable[[], Any]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started
