"""Text, or a value of Python's, as a value of an option's type.

A plain ``int`` is a size, at least 1; or at least 0, where its default is 0. Other ranges are part of
the type: `Natural`, `Positive`, `Probability`. Sequences are written with commas, ``latents=16,8,4``.
"""

import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from zoo.errors import UsageError

FLOAT32 = 2.0**128  # beyond what parameters, and so options of them, can be
INT64 = 2**63  # beyond sizes and counts


@dataclass(frozen=True)
class Range:
    """An interval, closed on the left unless `above`, and open on the right.

    Attributes:
        low: least value.
        high: upper bound, itself excluded.
        above: whether `low` itself is excluded.
        odd: whether even numbers are excluded.
    """

    low: float
    high: float = math.inf
    above: bool = False
    odd: bool = False

    def __contains__(self, value: float) -> bool:
        inside = self.low <= value < self.high and not (self.above and value == self.low)
        return inside and not (self.odd and value % 2 == 0)

    def of(self, name: str) -> str:
        """``name >= 1``."""
        if self.odd:
            return f"an odd {name}"
        left = f"{self.low} <= {name}" if self.high < math.inf else f"{name} >= {self.low}"
        left = left.replace("=", "") if self.above else left
        return f"{left} < {self.high}" if self.high < math.inf else left


Odd = Annotated[int, Range(1, odd=True)]
Natural = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0.0, above=True)]
Probability = Annotated[float, Range(0, 1)]


def convert(name: str, value: Any, hint: Any, *, default: Any = 1) -> Any:
    """`value` as the type `hint`.

    Raises:
        UsageError: if it cannot be, naming the option.
    """
    try:
        return _as_type(name, value, hint, Range(0 if default == 0 else 1))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"expected {name} to be {describe(hint)}; got {value!r}") from error


def is_convertible(hint: Any) -> bool:
    """Whether text can express a value of this type."""
    hint, _ = _unwrapped(hint)
    if _is_union(hint):
        return len(_members(hint)) == 1 and is_convertible(_members(hint)[0])
    if typing.get_origin(hint) in (tuple, Sequence):
        return is_convertible(typing.get_args(hint)[0])
    return hint in _SCALARS or typing.get_origin(hint) is typing.Literal


def choices(hint: Any) -> list[str]:
    """The values of a ``Literal`` as text; none of another type."""
    hint, _ = _unwrapped(hint)
    return [as_text(c) for c in typing.get_args(hint)] if typing.get_origin(hint) is typing.Literal else []


def describe(hint: Any) -> str:
    """The type in words."""
    hint, interval = _unwrapped(hint)
    if _is_union(hint):
        return f"{describe(_within(hint, interval))}, or none"
    if typing.get_origin(hint) in (tuple, Sequence):
        return f"a list, comma between, each {describe(typing.get_args(hint)[0])}"
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(choices(hint))
    named = {int: "an integer", float: "a finite number", bool: "true or false", str: "text"}
    words = named.get(hint, "none")
    if interval is None or hint not in (int, float):
        return words
    return "an odd integer" if interval.odd else f"{words} {interval.of('x')}"


def _as_type(name: str, value: Any, hint: Any, sizes: Range) -> Any:
    hint, interval = _unwrapped(hint)
    if _is_union(hint):
        if value in (None, "none", "None"):
            return None
        return _as_type(name, value, _within(hint, interval), sizes)
    if typing.get_origin(hint) in (tuple, Sequence):
        items = value.strip("()[]").removesuffix(",").split(",") if isinstance(value, str) else value
        items = items if isinstance(items, (list, tuple)) else [items]  # one number is a list of one
        if not items:
            raise ValueError(value)
        return tuple(_as_type(name, item, typing.get_args(hint)[0], sizes) for item in items)
    if typing.get_origin(hint) is typing.Literal:
        return _as_choice(value, typing.get_args(hint))
    converted = _SCALARS[hint](value)
    interval = interval or (sizes if hint is int else None)
    if interval is not None and converted not in interval:
        raise UsageError(f"expected {interval.of(name)}; got {converted}")
    if hint is int and not abs(converted) < INT64:
        raise UsageError(f"expected {name} < 2^63; got {converted}")
    return converted


def _within(hint: Any, interval: Range | None) -> Any:
    """The one type of an optional type, with the range that was given to the whole."""
    (member,) = _members(hint)
    return Annotated[member, interval] if interval else member


def _unwrapped(hint: Any) -> tuple[Any, Range | None]:
    metadata = getattr(hint, "__metadata__", ())
    intervals = [m for m in metadata if isinstance(m, Range)]
    return (typing.get_args(hint)[0] if metadata else hint), (intervals[0] if intervals else None)


def _is_union(hint: Any) -> bool:
    return isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union


def _members(hint: Any) -> list[Any]:
    return [arg for arg in typing.get_args(hint) if arg is not type(None)]


def _as_choice(value: Any, choices: tuple[Any, ...]) -> Any:
    return {as_text(choice).lower(): choice for choice in choices}[as_text(value).lower()]


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)


def _real(value: Any) -> float:
    if isinstance(value, bool) or not abs(float(value)) < FLOAT32:
        raise ValueError(value)
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return words[_text(value).lower()]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


_SCALARS: dict[Any, Any] = {int: _integer, float: _real, bool: _boolean, str: _text}


def as_text(value: Any) -> str:
    """A value as `convert` reads it.

    >>> as_text((2, 1)), as_text(None), as_text(True)
    ('2,1', 'none', 'true')
    """
    if isinstance(value, tuple | list):
        return ",".join(map(as_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
