"""Functions that run as they are inside a compiled one."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def not_compiled(reason: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`torch.compiler.disable`, applied when a compiled function calls this one and not at import.

    PyTorch imports its compiler to apply it, which takes as long as importing the rest of PyTorch.

    Args:
        reason: named in the error under ``fullgraph=True``.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **options: P.kwargs) -> R:
            if torch.compiler.is_compiling():
                return torch.compiler.disable(function, reason=reason)(*args, **options)
            return function(*args, **options)

        return run

    return decorated
