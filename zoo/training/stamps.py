"""Figures as JSON, with a checksum of their own: a flipped bit in a digit would be another figure."""

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

STAMP = "crc32"


def stamped(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its checksum as its last entry.

    >>> stamped({"step": 1})
    {'step': 1, 'crc32': '3a87913d'}
    """
    return {**value, STAMP: _checksum(value)}


def unstamped(value: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The object without its checksum, and whether that is right; it is where there is none."""
    content = {key: entry for key, entry in value.items() if key != STAMP}
    return content, STAMP not in value or value[STAMP] == _checksum(content)


def finite_json(value: Any) -> Any:
    """The value as JSON can hold it: numbers for tensors and NumPy's scalars, null for what is not finite."""
    if isinstance(value, Mapping):
        return {key: finite_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite_json(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return finite_json(value.item()) if hasattr(value, "item") else value


def _checksum(value: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(value).encode()):08x}"
