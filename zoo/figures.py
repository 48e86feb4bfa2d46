"""Files of figures, JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UsageError


def write_json(path: str | Path, value: Any) -> None:
    """Write figures to a file; replaces an earlier file of figures, and nothing else.

    Raises:
        UsageError: if the file holds something else, or cannot be written.
    """
    path = Path(path)
    try:
        if path.exists() and path.stat().st_size and not _is_figures(path):
            raise UsageError(f"{path} exists and is not a file of figures: name another")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _is_figures(path: Path) -> bool:
    try:
        value = json.loads(path.read_text())
    except ValueError:
        return False
    return isinstance(value, list) or (isinstance(value, Mapping) and "log_likelihood" in value)
