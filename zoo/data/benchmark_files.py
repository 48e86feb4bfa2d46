"""Data sets of the literature that come as files to fetch by hand, in the form that was published."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.data.digits import fixed_order
from zoo.data.requirements import require_module
from zoo.data.splits import Source, source_from_arrays
from zoo.errors import DataError, one_line

SIDE = 28  # pixels
_READABLE = np.isin(np.arange(256), list(b"01 \t\r\n"))


@dataclass(frozen=True)
class FileSet:
    """How to read a set from its files.

    Attributes:
        files: their names as published.
        address: where they come from.
        read: from the name of the set and the files' paths, in that order.
    """

    files: tuple[str, ...]
    address: str
    read: Callable[[str, Sequence[Path]], Source]


def load_files(name: str, root: Path) -> Source:
    """Read a set from `root`, or from the folder `name` in it.

    Raises:
        DataError: a file that is not there or cannot be read.
    """
    spec = FILE_SETS[name]
    folders = [folder for folder in (root, root / name) if (folder / spec.files[0]).is_file()]
    folder = folders[0] if folders else root
    for file in spec.files:
        if not (folder / file).is_file():
            raise DataError(
                f"{name}: expected {file} in {folder.absolute()}; found nothing there: fetch it from "
                f"{spec.address}, or point --data-root (data_root=) at the folder that holds it"
            )
    return spec.read(name, [folder / file for file in spec.files])


def _static_mnist(name: str, paths: Sequence[Path]) -> Source:
    """50,000 + 10,000 + 10,000 images, one a line, binarised once by H. Larochelle."""
    splits = ("train", "validation", "test")
    images = {split: _read_bits(path) for split, path in zip(splits, paths, strict=True)}
    return source_from_arrays(images, {}, name, levels=2)


def _omniglot28(name: str, paths: Sequence[Path]) -> Source:
    """24,345 + 8,070 grey images as Burda et al. (arXiv:1509.00519) have them; the last 1,345 validate."""
    arrays = _read_mat(name, paths[0], ("data", "testdata"))
    # One image a column, its pixels in MATLAB's order: columns first.
    images = [_square(array.T, paths[0]).transpose(0, 2, 1) for array in arrays]
    source = source_from_arrays(dict(zip(("train", "test"), images, strict=True)), {}, name)
    return Source(source.splits, source.levels, 1345 if len(images[0]) == 24_345 else 0)


def _caltech_silhouettes(name: str, paths: Sequence[Path]) -> Source:
    """4,100 + 2,264 + 2,307 binary images (Marlin et al. 2010), values as in the file."""
    arrays = _read_mat(name, paths[0], ("train_data", "val_data", "test_data"))
    # One image a row, its pixels in MATLAB's order: columns first.
    images = [_square(array, paths[0]).transpose(0, 2, 1) for array in arrays]
    return source_from_arrays(dict(zip(("train", "validation", "test"), images, strict=True)), {}, name)


def _frey_faces(name: str, paths: Sequence[Path]) -> Source:
    """1,965 frames of a film, 28x20 and grey; 200 to test and 200 to validate, in a fixed order.

    Neighbouring frames are alike, so a held-out end of the film would be another problem. No order is
    customary: figures compare only with those of this library.
    """
    (frames,) = _read_mat(name, paths[0], ("ff",))
    if frames.ndim != 2 or frames.shape[0] != 28 * 20:
        raise DataError(f"{paths[0]}: expected ff of shape (560, N); got {frames.shape}")
    images = frames.T.reshape(-1, 28, 20)
    whole = source_from_arrays({"train": images}, {}, name, levels=256)
    ordered = whole.splits["train"].take(torch.tensor(fixed_order(len(images))))
    held_out = len(images) * 200 // 1965
    splits = {"train": ordered.take(slice(-held_out)), "test": ordered.take(slice(-held_out, None))}
    return Source(splits, whole.levels, held_out)


def _read_bits(path: Path) -> np.ndarray:
    """Lines of 784 zeros and ones with blanks between -> uint8 (N, 28, 28)."""
    text = np.frombuffer(path.read_bytes(), np.uint8)
    bit = (text == ord("0")) | (text == ord("1"))
    separate = not (bit[1:] & bit[:-1]).any()
    lengths = _line_lengths(text, bit)
    if not separate or not _READABLE[text].all():
        found = "other text"
    elif lengths != {SIDE * SIDE}:
        found = f"lines of {', '.join(map(str, sorted(lengths)[:3])) or 'no'} bits"
    else:
        return (text[bit] - ord("0")).reshape(-1, SIDE, SIDE)
    raise DataError(
        f"{path}: expected lines of {SIDE * SIDE} zeros and ones with blanks between; got {found} "
        "(cut short or damaged?)"
    )


def _line_lengths(text: np.ndarray, bit: np.ndarray) -> set[int]:
    """How many bits the lines have that have any."""
    if not text.size:
        return set()
    starts = np.flatnonzero(np.concatenate([[True], text[:-1] == ord("\n")]))
    return set(np.add.reduceat(bit, starts, dtype=np.int64).tolist()) - {0}


def _read_mat(name: str, path: Path, keys: Sequence[str]) -> list[np.ndarray]:
    """Arrays of a MATLAB file, version 4 to 7."""
    require_module(name, "scipy")
    from scipy.io import loadmat

    try:
        arrays: dict[str, Any] = loadmat(path, variable_names=keys)
    # What damage raises in a reader of three binary formats is anybody's guess.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a MATLAB file: {one_line(error)}") from error
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise DataError(f"{path}: expected the arrays {', '.join(keys)}; {', '.join(missing)} missing")
    return [np.asarray(arrays[key]) for key in keys]


def _square(images: np.ndarray, path: Path) -> np.ndarray:
    if images.ndim != 2 or images.shape[1] != SIDE * SIDE:
        raise DataError(f"{path}: expected images of {SIDE * SIDE} pixels; got an array of {images.shape}")
    return images.reshape(-1, SIDE, SIDE)


_LAROCHELLE = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
FILE_SETS: dict[str, FileSet] = {
    "static_mnist": FileSet(
        tuple(f"binarized_mnist_{split}.amat" for split in ("train", "valid", "test")),
        _LAROCHELLE,
        _static_mnist,
    ),
    "omniglot28": FileSet(
        ("chardata.mat",), "https://github.com/yburda/iwae/tree/master/datasets/OMNIGLOT", _omniglot28
    ),
    "caltech_silhouettes": FileSet(
        ("caltech101_silhouettes_28_split1.mat",),
        "https://people.cs.umass.edu/~marlin/data.shtml",
        _caltech_silhouettes,
    ),
    "frey_faces": FileSet(
        ("frey_rawface.mat",), "https://cs.nyu.edu/~roweis/data/frey_rawface.mat", _frey_faces
    ),
}
