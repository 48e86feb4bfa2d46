"""A zoo of deep generative models as pairs of Pyro programs, `model` and `guide`.

The public names are the imports of ``__init__.pyi``. Each is imported when it is first used, so that the
command line answers ``--help`` without PyTorch.
"""

import importlib
import importlib.metadata
from typing import Any

import lazy_loader

_import, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


BEFORE_PYTORCH = ("tune_process",)  # names that a program uses before it imports PyTorch, as our siblings do


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in __all__ and name not in BEFORE_PYTORCH:
        _require_our_siblings()
    return _import(name)


def _version() -> str:
    try:
        return importlib.metadata.version("pyro-generative-zoo")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return "not installed"


def _require_our_siblings() -> None:
    """Our `flows` and `distributions`, not another package's of the same short name.

    Raises:
        ImportError: naming the file that is in the way.
    """
    for package, ours in {"distributions": "ResidualNormal", "flows": "AffineCoupling"}.items():
        module = importlib.import_module(package)
        if not hasattr(module, ours):
            raise ImportError(
                f"'{package}' at {module.__file__} is not the package that belongs to zoo: install "
                "pyro-generative-zoo into an environment of its own"
            )
