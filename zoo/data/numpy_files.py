"""Data sets in .npy and .npz files."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from zoo.data.splits import SPLIT_NAMES, Source, source_from_arrays
from zoo.errors import DataError, one_line

SUFFIXES = (".npy", ".npz")
_KINDS = {"images": "images", "x": "images", "labels": "labels", "y": "labels"}
_Part = tuple[str, str]  # (split or "", "images" or "labels")


def load_numpy(path: Path) -> Source:
    """Read a set from one file: an array, ``images``, or the splits by name; see `load_data`."""
    arrays = read_arrays(path)
    levels = _take_levels(arrays, str(path))
    parts = _parts(arrays, str(path))
    if {split for split, _ in parts} == {""}:
        parts = {("train", kind): array for (_, kind), array in parts.items()}
    return source_from_arrays(_of_kind(parts, "images"), _of_kind(parts, "labels"), str(path), levels)


def load_numpy_splits(paths: Mapping[str, Path], where: str) -> Source:
    """Read a set from one file a split, each with a single array or ``images`` (and ``labels``).

    Args:
        paths: the files, by split.
        where: their folder, for messages.
    """
    parts, levels = {}, {}
    for split, path in paths.items():
        arrays = read_arrays(path)
        levels[split] = _take_levels(arrays, str(path))
        for (own, kind), array in _parts(arrays, str(path)).items():
            if own not in ("", split):
                raise DataError(f"{path}: expected only {split} images; found {', '.join(arrays)}")
            parts[split, kind] = array
    if len(set(levels.values())) > 1:
        raise DataError(f"{where}: expected the same `levels` in all splits; got {levels}")
    found = next(iter(levels.values()))
    return source_from_arrays(_of_kind(parts, "images"), _of_kind(parts, "labels"), where, found)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a .npz by name; that of a .npy is called "images". Nothing is unpickled.

    Raises:
        DataError: a file that is missing, damaged, of another format, or holds Python objects.
    """
    try:
        with path.open("rb") as file:
            return _read_open(file)
    # A damaged archive makes zip, zlib and NumPy stumble over whatever the damage was.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as .npz or .npy: {_cause(error)}") from error


def _read_open(file: IO[bytes]) -> dict[str, np.ndarray]:
    magic = file.read(6)
    file.seek(0)
    # NumPy takes any other file for a pickle, and says so.
    if not magic.startswith((b"PK", b"\x93NUMPY")):
        raise ValueError("it does not begin like one")
    loaded = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"images": loaded}
    arrays = {name: loaded[name] for name in loaded.files}
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise ValueError("it is an archive of other files than arrays")
    return arrays


def _cause(error: BaseException) -> str:
    text = one_line(error)
    if "allow_pickle" in text:
        return "it holds Python objects, which are never unpickled; save plain numeric arrays"
    return f"{text} (cut short or damaged?)"


def _take_levels(arrays: dict[str, np.ndarray], where: str) -> int | None:
    """Remove the scalar ``levels`` from `arrays`, if it is there."""
    levels = arrays.pop("levels", None)
    if levels is None:
        return None
    if levels.size != 1 or levels.dtype.kind not in "iu":
        raise DataError(f"{where}: expected `levels` to be one integer; got {levels.dtype} {levels.shape}")
    return int(levels.item())


def _parts(arrays: Mapping[str, np.ndarray], where: str) -> dict[_Part, np.ndarray]:
    """Arrays by split and kind, as their names state them; a single array may have any other name."""
    if len(arrays) == 1 and _part(next(iter(arrays))) is None:
        return {("", "images"): next(iter(arrays.values()))}
    parts = {part: array for name, array in arrays.items() if (part := _part(name))}
    splits = {split for split, _ in parts}
    # An array that is passed over in silence may be a test set with a misspelt name.
    complete = len(parts) == len(arrays) and all((split, "images") in parts for split in splits)
    if not parts or not complete or ("" in splits and len(splits) > 1):
        raise DataError(
            f"{where}: expected one array, or images and labels, or train, validation, test and "
            f"train_labels, ...; found {', '.join(arrays) or 'none'}"
        )
    return parts


def _part(name: str) -> _Part | None:
    """What an array called `name` is: ("train", "labels") for train_labels, y_train or Y_train.

    >>> _part("x_val"), _part("images"), _part("weights")
    (('validation', 'images'), ('', 'images'), None)
    """
    words = name.lower().split("_")
    splits = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    kinds = [_KINDS[word] for word in words if word in _KINDS]
    if len(splits) > 1 or len(kinds) > 1 or len(splits) + len(kinds) < len(words):
        return None
    return "".join(splits), "".join(kinds) or "images"


def _of_kind(parts: Mapping[_Part, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    return {split: array for (split, own), array in parts.items() if own == kind}
