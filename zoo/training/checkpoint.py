"""Checkpoints that are whole or refused: one file, checked (`checkpoint_format`) before torch looks at it.

Saving never touches a good file before the next good one is on the disk::

    write and fsync .last.pt.tmp        last.pt = old    last.previous.pt = older
    .last.pt.previous.tmp = old (link)  last.pt = old    last.previous.pt = older
    rename .last.pt.tmp                 last.pt = new    last.previous.pt = older
    rename .last.pt.previous.tmp        last.pt = new    last.previous.pt = old

so a process killed anywhere leaves at least one that loads. There is one writer to a path
(`RunFolder.lock` sees to it); a temporary file that a killed writer left is reused by the next.
"""

import io
import os
import pickle
import re
import shutil
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from zoo.errors import CheckpointError
from zoo.training.checkpoint_format import (
    LAST,
    VERSION,
    ZIP,
    DamagedError,
    describe,
    header,
    previous_path,
    read_payload,
    reason,
)
from zoo.training.files import sync_folder, temporary, write_synced

_PLAIN = (bool, int, float, str, type(None))
_LEAVES = (*_PLAIN, torch.Tensor, torch.nn.Parameter)


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at `path` by `state`; the one before stays as `previous_path(path)`.

    Args:
        path: the file; its folder is made if need be.
        state: tensors, numbers, strings, booleans and None in dicts, lists and tuples, nothing else:
            only these come back from a loader that refuses to run code.

    Raises:
        TypeError: something else is in `state`.
        CheckpointError: the file could not be written. What was saved before is still there.
    """
    path = Path(path)
    _check_plain(state, "state")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    start = header(VERSION, payload)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, [start, payload])
    except OSError as error:
        raise CheckpointError(
            f"could not save checkpoint {path}: expected room for {len(start) + len(payload)} bytes "
            f"and the right to write there; got '{reason(error)}'; what was saved before is intact; "
            "free some space or mend the permissions, then resume"
        ) from error


def load_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, after its length and sha256 were found right.

    Raises:
        CheckpointError: the file is missing, damaged, foreign, hostile or of a newer format.
    """
    path = Path(path)
    return _unpickle(path, read_payload(path), map_location)


def has_checkpoint(folder: str | Path, name: str = LAST) -> bool:
    """Whether there is something for `load_latest` to load, sound or not."""
    path = Path(folder) / name
    return path.exists() or previous_path(path).exists()


def load_latest(folder: str | Path, map_location: Any = "cpu", *, name: str = LAST) -> dict[str, Any]:
    """Load ``last.pt`` of a folder or, if that is damaged or missing, the one before it.

    Args:
        folder: of the checkpoints.
        map_location: where tensors go, see `torch.load`.
        name: of another checkpoint that is kept the same way, ``best.pt``.

    Warns:
        RuntimeWarning: the previous checkpoint had to be taken.

    Raises:
        CheckpointError: neither loads, or ``last.pt`` is sound but not for us (hostile, newer).
    """
    last = Path(folder) / name
    previous = previous_path(last)
    if not has_checkpoint(folder, name):
        raise CheckpointError(
            f"no checkpoint in {folder}: expected {last.name} or {previous.name}, found neither; "
            "the run may have ended before its first save: start it anew"
        )
    try:
        return load_checkpoint(last, map_location)
    except DamagedError as damage:
        if not previous.exists():
            raise
        reason = str(damage)
    try:
        state = load_checkpoint(previous, map_location)
    except CheckpointError as error:
        raise CheckpointError(f"no good checkpoint in {folder}: {reason}; and {error}") from None
    warnings.warn(f"{reason}; resuming from {previous}", RuntimeWarning, stacklevel=2)
    return state


# Saving


def _check_plain(value: Any, where: str) -> None:
    # Exact types: a subclass (numpy.float64, an enum) is pickled by its class, which loading refuses.
    for key, child, place in _children(value, where):
        if type(key) not in _PLAIN:
            raise TypeError(f"expected plain keys in {where}; got {key!r}; use strings or integers")
        _check_plain(child, place)
    if type(value) not in (dict, OrderedDict, list, tuple, *_LEAVES):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise TypeError(
            f"expected tensors, numbers, strings, dicts and lists in a checkpoint; got {kind} at "
            f"{where}; convert it, e.g. by float(), list() or torch.as_tensor()"
        )


def _children(value: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
    if isinstance(value, dict):
        yield from ((key, child, f"{where}[{key!r}]") for key, child in value.items())
    elif isinstance(value, list | tuple):
        yield from ((i, child, f"{where}[{i}]") for i, child in enumerate(value))


def _replace(path: Path, chunks: list[bytes | memoryview]) -> None:
    new, spare = temporary(path), temporary(path, ".previous")
    try:
        write_synced(new, chunks)
        had_one = _second_name(path, spare)
        os.replace(new, path)
        if had_one:
            os.replace(spare, previous_path(path))
        sync_folder(path.parent)
    finally:
        for leftover in (new, spare):
            with suppress(OSError):
                os.unlink(leftover)


def _second_name(path: Path, spare: Path) -> bool:
    with suppress(FileNotFoundError):
        os.unlink(spare)
    if not path.exists():
        return False
    try:
        os.link(path, spare)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, spare)
    return True


# Loading


def _unpickle(path: Path, payload: bytes, map_location: Any) -> dict[str, Any]:
    if not payload.startswith(ZIP):  # torch.load would try formats that torch.save no longer writes
        raise CheckpointError(
            f"{path} is not a weights file: expected an archive of torch.save in it; got "
            f"{describe(payload)}; use a checkpoint that save_checkpoint wrote"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a strange pickle; what matters is raised
            state = torch.load(io.BytesIO(payload), map_location=map_location, weights_only=True)
    except Exception as error:
        raise _refusal(path, error, map_location) from None
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{path} is not a training state: expected a dict; got {type(state).__name__}; "
            "use a checkpoint that save_checkpoint wrote"
        )
    return state


def _refusal(path: Path, error: Exception, map_location: Any) -> CheckpointError:
    # torch's own message advises weights_only=False, which would run a payload: it is not shown.
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        found = re.search(r"GLOBAL (\S+)", str(error))
        return CheckpointError(
            f"{path} is not a weights file: expected tensors and plain values; got "
            f"{found.group(1) if found else 'something else'}, which could run code, so nothing was "
            "loaded; use a checkpoint of this library from a source you trust"
        )
    return CheckpointError(
        f"could not load checkpoint {path}: expected tensors and plain values for "
        f"map_location={str(map_location)!r}; got '{reason(error)}'; try map_location='cpu'"
    )
