"""Files of figures, JSON."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from zoo.errors import UsageError
from zoo.training.files import replace_file
from zoo.training.stamps import finite_json

STDOUT = "-"  # in the place of a file's name


def lines_to(path: str | Path | None) -> TextIO:
    """Where lines for people are printed: standard error, if the figures go to standard output."""
    return sys.stderr if path == STDOUT else sys.stdout


def require_figures_place(path: str | Path | None) -> None:
    """Check, before the work is done, that `write_json` may write there; None and `STDOUT` are fine.

    Raises:
        UsageError: if the file holds something else, or there cannot be a file.
    """
    if path is None or path == STDOUT:
        return
    path = Path(path)
    above = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if path.is_dir() or not above.is_dir() or not os.access(path if path.exists() else above, os.W_OK):
        raise UsageError(f"expected a file of figures that can be written at {path}; name another")
    if path.exists() and path.stat().st_size and not _is_figures(path):
        raise UsageError(f"{path} exists and is not a file of figures; name another")


def write_json(path: str | Path, value: Any) -> None:
    """Write figures to a file, null for what is not finite; replaces only an earlier file of figures.

    To `STDOUT` they are printed.

    Raises:
        UsageError: if the file holds something else, or cannot be written.
    """
    require_figures_place(path)
    text = json.dumps(finite_json(value), indent=2, allow_nan=False) + "\n"
    if path == STDOUT:
        sys.stdout.write(text)
        return
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # /dev/stdout
            path.write_text(text)
        else:
            replace_file(path, text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _is_figures(path: Path) -> bool:
    try:
        value = json.loads(path.read_text())
    except ValueError:
        return False
    entries = value if isinstance(value, list) else [value]
    # of a run, of its anomalies, of several runs, of an experiment
    ours = ("log_likelihood", "anomaly", "comparison", "summary")
    return all(isinstance(entry, Mapping) and any(key in entry for key in ours) for entry in entries)
