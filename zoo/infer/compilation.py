"""A loss compiled whole: ``torch.compile(fullgraph=True)`` through Pyro's effect handlers.

Two things stand in the way. Pyro's ``Message`` is a TypedDict, which Dynamo does not trace; a plain dict in
its place does the same. And PyTorch finds a closed-form KL by a search that cannot be traced, but remembers
what it found: one eager call before warms that memory. A compiled loss does not check its distributions'
arguments; the eager call does.
"""

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from pyro.poutine import runtime
from torch import Tensor

from zoo.errors import UsageError, one_line

CHECKED_PYRO = "1.9."

# The compiler's own generator for CPUs takes 18 times as long as PyTorch's, and draws other numbers.
EAGER_NOISE = {"options": {"fallback_random": True}}


def compile_loss(loss: torch.nn.Module, x: Tensor, **options: Any) -> Any:
    """Compile a loss made by `zoo.ELBO` or `zoo.ImportanceWeighted`; called as the loss is.

    Compiling takes from tens of seconds to minutes. On a CPU, without options, noise is that of the eager
    loss. Under a Pyro version that this was not checked with, warns and returns the loss as it is.

    Args:
        loss: the module; its parameters and buffers remain its own.
        x: a batch like those to come.
        options: of ``torch.compile``.
    """
    if not pyro.__version__.startswith(CHECKED_PYRO):
        warnings.warn(
            f"compilation was checked with Pyro {CHECKED_PYRO}x; with {pyro.__version__} the loss runs "
            "eagerly",
            stacklevel=2,
        )
        return loss
    with torch.random.fork_rng():
        loss(x)
    make_messages_traceable()
    if not options and x.device.type == "cpu":
        options = EAGER_NOISE
    return CompiledLoss(torch.compile(loss, **{"fullgraph": True, **options}))


class CompiledLoss:
    """A compiled loss, called with Pyro's and PyTorch's checks of values off: they cannot be compiled."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled

    def __call__(self, x: Tensor) -> Tensor:
        """The loss of a batch.

        Raises:
            UsageError: if the model or the guide does what cannot be compiled, or there is no compiler.
        """
        with one_line_errors(), pyro.validation_enabled(False):
            return self.compiled(x)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what the compiler says of what it cannot do into one line.

    Raises:
        UsageError: in place of that.
    """
    try:
        yield
    except RuntimeError as error:
        from torch._dynamo.exc import TorchDynamoException, Unsupported

        if isinstance(error, Unsupported):
            raise UsageError(
                f"this loss cannot be compiled whole ({str(error).splitlines()[0]}): train it without, or "
                "mark the batch in model and guide with zoo.batch_plate(), the plate that can be compiled"
            ) from error
        if isinstance(error, TorchDynamoException):
            reason = one_line(str(error).partition("\n\n")[0])
            raise UsageError(
                f"this loss could not be compiled ({reason}): train it without, or, where there is no C++ "
                "compiler, install one (g++)"
            ) from error
        if "double backward" in str(error):
            raise UsageError(
                "expected compile=false with an objective that takes gradients of gradients, which compiled "
                "code does not have; got another"
            ) from error
        raise


def make_messages_traceable() -> None:
    """Replace the TypedDict ``Message`` by dict wherever Pyro calls it; what a call returns is equal."""
    import pyro.poutine as poutine

    names = [f"pyro.poutine.{m.name}" for m in pkgutil.iter_modules(poutine.__path__)]
    for name in ["pyro.primitives", *names]:
        module = importlib.import_module(name)
        if getattr(module, "Message", None) is runtime.Message and module is not runtime:
            module.Message = dict  # type: ignore[attr-defined]
