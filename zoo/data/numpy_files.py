"""Data sets in .npy and .npz files."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from zoo.data.splits import Source, source_from_arrays
from zoo.errors import DataError

# The names that arrays have in the wild; the first is ours.
IMAGES = {
    "train": ("train", "train_images", "x_train"),
    "validation": ("validation", "validation_images", "val", "val_images", "x_val"),
    "test": ("test", "test_images", "x_test"),
}
LABELS = {
    "train": ("train_labels", "y_train"),
    "validation": ("validation_labels", "val_labels", "y_val"),
    "test": ("test_labels", "y_test"),
}


def load_numpy(path: Path) -> Source:
    """Read a set from one file: an array, ``images``, or the splits by name; see `load_data`."""
    arrays = read_arrays(path)
    levels = _take_levels(arrays, str(path))
    if "train" not in _match(arrays, IMAGES):
        only, own = _one_split(arrays, str(path))
        labels = {} if own is None else {"train": own}
        return source_from_arrays({"train": only}, labels, str(path), levels)
    images, labels = _match(arrays, IMAGES), _match(arrays, LABELS)
    _refuse_others(arrays, len(images) + len(labels), str(path))
    return source_from_arrays(images, labels, str(path), levels)


def load_numpy_splits(paths: Mapping[str, Path], where: str) -> Source:
    """Read a set from one file a split, each with a single array or ``images`` (and ``labels``).

    Args:
        paths: The files, by split.
        where: Their folder, for messages.
    """
    images, labels, levels = {}, {}, {}
    for split, path in paths.items():
        arrays = read_arrays(path)
        levels[split] = _take_levels(arrays, str(path))
        images[split], own = _one_split(arrays, str(path))
        if own is not None:
            labels[split] = own
    if len(set(levels.values())) > 1:
        raise DataError(f"{where}: expected the same `levels` in all splits; got {levels}")
    return source_from_arrays(images, labels, where, next(iter(levels.values())))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a .npz by name; that of a .npy is called "images". Nothing is unpickled.

    Raises:
        DataError: A file that is missing, damaged, of another format, or holds Python objects.
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
    text = " ".join(str(error).split())
    if "allow_pickle" in text:
        return "it holds Python objects, which are never unpickled; save plain numeric arrays"
    return f"{text or type(error).__name__} (cut short or damaged?)"


def _take_levels(arrays: dict[str, np.ndarray], where: str) -> int | None:
    """Remove the scalar ``levels`` from `arrays`, if it is there."""
    levels = arrays.pop("levels", None)
    if levels is None:
        return None
    if levels.size != 1 or levels.dtype.kind not in "iu":
        raise DataError(f"{where}: expected `levels` to be one integer; got {levels.dtype} {levels.shape}")
    return int(levels.item())


def _match(arrays: Mapping[str, np.ndarray], names: Mapping[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    found = {}
    for split, aliases in names.items():
        for alias in aliases:
            if alias in arrays and split not in found:
                found[split] = arrays[alias]
    return found


def _one_split(arrays: Mapping[str, np.ndarray], where: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Images, and labels if there are any, of a file that holds one split."""
    if len(arrays) == 1:
        return next(iter(arrays.values())), None
    known = [name for name in ("images", "labels") if name in arrays]
    _refuse_others(arrays, len(known) if "images" in known else -1, where)
    return arrays["images"], arrays.get("labels")


def _refuse_others(arrays: Mapping[str, np.ndarray], known: int, where: str) -> None:
    # An array that is passed over in silence may be a test set with a misspelt name.
    if len(arrays) != known:
        raise DataError(
            f"{where}: expected one array, or images and labels, or train, validation, test and "
            f"train_labels, ...; found {', '.join(arrays) or 'none'}"
        )
