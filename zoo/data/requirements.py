"""Modules that only some data sets need."""

from importlib.util import find_spec

from zoo.errors import DataError


def require_module(name: str, module: str) -> None:
    """Check that what the set `name` is read with is installed.

    Raises:
        DataError: if it is not.
    """
    if find_spec(module) is None:
        raise DataError(
            f"{name}: expected {module}, which reads its files; it is not installed: pip install {module}"
        )
