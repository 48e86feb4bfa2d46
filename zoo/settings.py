"""Setting the fields of option dataclasses by name, from Python values or from text.

Every option has one name in an experiment, whichever part it belongs to: ``latents=16,8,4``,
``learning_rate=1e-3``, ``binarize=static``. A name or a value that does not fit is a `UsageError` that says
what would.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from zoo.errors import UsageError

T = TypeVar("T")


def override(options: T, values: Mapping[str, Any]) -> T:
    """The dataclass `options`, and those nested in it, with the fields named in `values` replaced.

    Raises:
        UsageError: for a name that no field has, or a value that its field cannot take.
    """
    known = names(options)
    for key in values:
        if key not in known:
            raise UsageError(f"unknown option {key!r}{nearest(key, known)}")
    return _replace(options, values)


def names(options: Any) -> list[str]:
    """The names of all fields that can be set, nested ones included."""
    found = []
    for field in _settable(options):
        value = getattr(options, field.name)
        found += names(value) if dataclasses.is_dataclass(value) else [field.name]
    return found


def flatten(options: Any) -> dict[str, Any]:
    """Every settable field and its value, as JSON has it."""
    flat: dict[str, Any] = {}
    for field in _settable(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value)
        else:
            flat[field.name] = list(value) if isinstance(value, tuple) else value
    return flat


def assignment(text: str) -> tuple[str, str]:
    """KEY=VALUE split.

    Raises:
        UsageError: if there is no ``=``.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"expected KEY=VALUE after --set; got {text!r}")
    return key.strip(), value.strip()


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the names like `name`, or all there are."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; known are {', '.join(known)}"


def require(condition: bool, expected: str, got: Any) -> None:
    """Check an option.

    Raises:
        UsageError: unless `condition`.
    """
    if not condition:
        raise UsageError(f"expected {expected}; got {got}")


def _settable(options: Any) -> list[dataclasses.Field[Any]]:
    return [f for f in dataclasses.fields(options) if f.metadata.get("settable", True)]


def _replace(options: Any, values: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(type(options))
    changed = {}
    for field in _settable(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = _replace(value, values)
        elif field.name in values:
            changed[field.name] = _convert(field.name, values[field.name], hints[field.name])
    return dataclasses.replace(options, **changed)


def _convert(name: str, value: Any, hint: Any) -> Any:
    """`value`, text or already typed, as the type `hint`."""
    try:
        return _as_type(value, hint)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"expected {name} to be {_describe(hint)}; got {value!r}") from error


def _as_type(value: Any, hint: Any) -> Any:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _as_optional(value, hint)
    if typing.get_origin(hint) is tuple:
        items = value.strip("()[]").split(",") if isinstance(value, str) else value
        items = items if isinstance(items, (list, tuple)) else [items]  # one number is a list of one
        element = typing.get_args(hint)[0]
        return tuple(_as_type(i, element) for i in items if i != "")
    if typing.get_origin(hint) is typing.Literal:
        return _as_choice(value, typing.get_args(hint))
    return _SCALARS[hint](value)


def _as_optional(value: Any, hint: Any) -> Any:
    if value is None or value in ("none", "None"):
        return None
    first = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return _as_type(value, first)


def _as_choice(value: Any, choices: tuple[Any, ...]) -> Any:
    if value not in choices:
        raise ValueError(value)
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)


def _real(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError(value)
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
        _text(value).lower()
    ]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


_SCALARS = {int: _integer, float: _real, bool: _boolean, str: _text}


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return f"a list of {_describe(typing.get_args(hint)[0])}, comma between"
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if isinstance(hint, types.UnionType):
        return " or ".join(_describe(arg) for arg in typing.get_args(hint))
    described = {int: "an integer", float: "a finite number", bool: "true or false", str: "text"}
    return described.get(hint, "none")
