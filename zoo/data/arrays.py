"""Arrays as users keep them -> uint8 (N, C, H, W) and int64 labels, by rules that refuse to guess.

Shapes:  (N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1 or 3. A shape that fits two of these,
         such as (N, 3, H, 3), and a single image are refused.
Values:  bools; whole numbers 0 .. 255, be they integers or floats, as they are; floats in [0, 1]
         times 255, rounded, with a warning where rounding changes them.
Levels:  256; 2 where no value of any split is other than 0 and 1.
"""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from zoo.errors import DataError

# Of a level. k/255 kept as float16 is up to 0.07 off; what is further off was not on the grid.
_ROUNDING = 0.1


def to_nchw(array: np.ndarray, where: str) -> np.ndarray:
    """Bring images of any accepted shape to (N, C, H, W), C = 1 or 3.

    Raises:
        DataError: another shape, one that can be read in two ways, or no images.
    """
    shape = array.shape
    if len(shape) not in (3, 4) or 0 in shape:
        raise _shape_error(where, shape, "")
    if len(shape) == 3:
        if shape[-1] in (1, 3):
            raise _shape_error(where, shape, "; a single image (H, W, C) needs a leading 1")
        return array[:, None]
    channels_first, channels_last = shape[1] in (1, 3), shape[3] in (1, 3)
    if channels_first and channels_last:
        raise _shape_error(where, shape, ", which can be read either way")
    if not channels_first and not channels_last:
        raise _shape_error(where, shape, "")
    return array if channels_first else array.transpose(0, 3, 1, 2)


def to_uint8(
    arrays: Mapping[str, np.ndarray], where: str, levels: int | None = None
) -> tuple[dict[str, np.ndarray], int]:
    """Bring the values of all splits, judged together, to uint8 0 .. levels-1.

    Args:
        arrays: arrays of numbers, by split.
        where: the file, for messages.
        levels: number of levels, 2 .. 256, or None to infer it from the values.

    Returns:
        The arrays, contiguous, and the number of levels.

    Raises:
        DataError: values that are no numbers, not finite, out of range, or of mixed kinds.
    """
    if levels is not None and not 2 <= levels <= 256:
        raise DataError(f"{where}: expected levels from 2 to 256; got {levels}")
    kind = _kind(arrays, where)
    for split, array in arrays.items():
        if kind == "float" and not np.isfinite(array).all():
            raise DataError(f"{where}, {split}: expected finite values; got NaN or infinity")
    whole = all(_is_whole(array) for array in arrays.values())
    low = min(float(array.min()) for array in arrays.values())
    high = max(float(array.max()) for array in arrays.values())
    if levels is None:
        levels = 2 if whole and high <= 1 else 256
    if kind == "float" and low >= 0 and high <= 1:
        arrays = {split: _quantised(a, levels, f"{where}, {split}") for split, a in arrays.items()}
    for split, array in arrays.items():
        _check_range(array, levels, f"{where}, {split}")
    return {split: np.ascontiguousarray(a, dtype=np.uint8) for split, a in arrays.items()}, levels


def to_labels(array: np.ndarray, count: int, where: str) -> Tensor:
    """Bring labels of shape (N,) or (N, 1) to int64 (N,).

    Raises:
        DataError: labels that are no integers, or not as many as the images.
    """
    if array.dtype.kind not in "iub" or array.shape not in ((count,), (count, 1)):
        raise DataError(
            f"{where}: expected {count} integer labels, one an image; "
            f"got {array.dtype} of shape {array.shape}"
        )
    return torch.from_numpy(array.reshape(count).astype(np.int64))


def _shape_error(where: str, shape: tuple[int, ...], but: str) -> DataError:
    return DataError(
        f"{where}: expected images of shape (N, H, W), (N, H, W, C) or (N, C, H, W), "
        f"C = 1 or 3, none of them 0; got {shape}{but}"
    )


def _kind(arrays: Mapping[str, np.ndarray], where: str) -> str:
    names = {"b": "bool", "i": "integer", "u": "integer", "f": "float"}
    kinds = {split: names.get(array.dtype.kind) for split, array in arrays.items()}
    first = kinds["train"]
    if first is None or any(kind != first for kind in kinds.values()):
        found = ", ".join(f"{split} {array.dtype}" for split, array in arrays.items())
        raise DataError(
            f"{where}: expected uint8 images, or bool, integer or float ones, alike in all splits; "
            f"got {found}"
        )
    return first


def _is_whole(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool((array == np.rint(array)).all())


def _quantised(array: np.ndarray, levels: int, where: str) -> np.ndarray:
    scaled = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32) * (levels - 1)
    rounded = np.rint(scaled)
    change = float(np.abs(scaled - rounded).max())
    if change > _ROUNDING:
        warnings.warn(
            f"{where}: floats in [0, 1] were rounded to {levels} levels; "
            f"the largest change is {change:.2f} of a level",
            stacklevel=2,
        )
    return rounded


def _check_range(array: np.ndarray, levels: int, where: str) -> None:
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > levels - 1 or not _is_whole(array):
        raise DataError(
            f"{where}: expected whole numbers 0 .. {levels - 1}, or floats in [0, 1]; got "
            f"{array.dtype} from {low:g} to {high:g}: scale them, or state `levels`"
        )
