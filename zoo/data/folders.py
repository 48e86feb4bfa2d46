"""Data sets in folders: of image files, or of one .npz or .npy file a split."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.data.numpy_files import SUFFIXES as NUMPY
from zoo.data.numpy_files import load_numpy_splits
from zoo.data.splits import SPLIT_NAMES, Source, source_from_arrays
from zoo.errors import DataError, one_line

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})


def load_folder(folder: Path) -> Source:
    """Read a set from a folder; see `load_data` for the layouts."""
    found = _split_paths(folder)
    files = {split: path for split, path in found.items() if path.suffix.lower() in NUMPY}
    if files:
        if len(files) < len(found):
            raise DataError(f"{folder}: expected all splits as folders or all as files; {_listed(found)}")
        return load_numpy_splits(files, str(folder))
    if found:
        _refuse_unassigned(folder, found)
    paths = {split: _require_images(where) for split, where in (found or {"train": folder}).items()}
    first = next(iter(paths.values()))[0]
    images = {split: _read_images(own, first) for split, own in paths.items()}
    return source_from_arrays(images, {}, str(folder))


def _split_paths(folder: Path) -> dict[str, Path]:
    """The folders and files named after a split, whatever their case: train, validation, test."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_array = path.suffix.lower() in NUMPY
        split = SPLIT_NAMES.get((path.stem if is_array else path.name).lower())
        if split is None or (not is_array and path.is_file()):
            continue
        if not (path.is_file() if is_array else path.is_dir()):
            raise DataError(f"{path}: expected a {'file' if is_array else 'folder'}; got {_kind(path)}")
        if split in found:
            raise DataError(
                f"{folder}: expected one {split} split; found {found[split].name} and {path.name}"
            )
        found[split] = path
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _refuse_unassigned(folder: Path, found: dict[str, Path]) -> None:
    """Pictures beside the splits belong to none of them, and would be left out in silence."""
    for path in sorted(folder.iterdir()):
        if path not in found.values() and next(_image_paths(path), None) is not None:
            raise DataError(
                f"{folder}: expected no images beside its splits; {_listed(found)} and {path.name}"
            )


def _listed(found: dict[str, Path]) -> str:
    return f"found {', '.join(path.name for path in found.values())}"


def _require_images(folder: Path) -> list[Path]:
    paths = sorted(_image_paths(folder))
    if not paths:
        raise DataError(
            f"{folder}: expected image files ({', '.join(sorted(SUFFIXES))}), or train.npz and "
            f"test.npz; found none"
        )
    return paths


def _image_paths(path: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """All image files at `path` and below it, through links too; what is hidden is left out.

    Raises:
        DataError: a link that leads nowhere or around in a circle, a pipe, a folder that cannot be read.
    """
    if path.name.startswith(".") and above:
        return
    if path.is_dir():
        real = os.path.realpath(path)
        if real in above:
            raise DataError(f"{path}: expected a folder of images; got a link to a folder that contains it")
        for below in _listing(path):
            yield from _image_paths(below, (*above, real))
    elif path.suffix.lower() in SUFFIXES:
        if not path.is_file():
            raise DataError(f"{path}: expected an image file; got {_kind(path)}")
        yield path


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read as a folder: {error.strerror}") from error


def _kind(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return f"a link to {os.readlink(path)}, which leads nowhere"
    return "a folder" if path.is_dir() else "a file" if path.is_file() else "a pipe, socket or device"


def _read_images(paths: list[Path], first: Path) -> np.ndarray:
    """The images as one array (N, H, W) or (N, H, W, 3); all must be of the shape of `first`."""
    model = _read_image(first)
    images = np.empty((len(paths), *model.shape), model.dtype)
    for index, path in enumerate(paths):
        image = _read_image(path)
        if image.shape != model.shape or image.dtype != model.dtype:
            raise DataError(
                f"expected images of one size and mode; got {_described(model)} in {first} and "
                f"{_described(image)} in {path}: crop or resize them first"
            )
        images[index] = image
    return images


def _described(image: np.ndarray) -> str:
    height, width = image.shape[:2]
    mode = "RGB" if image.ndim == 3 else "two-level" if image.dtype == np.bool_ else "grey"
    return f"{width}x{height} {mode}"


def _read_image(path: Path) -> np.ndarray:
    """One image: uint8 (H, W) or (H, W, 3), or bool (H, W) where the file has one bit a pixel."""
    try:
        with Image.open(path) as image:
            array = np.asarray(_plain(image, path))
        if image.format == "PNG":
            _verify(path)
        return array
    except DataError:
        raise
    # Pillow's decoders raise whatever the damage made them stumble over.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as an image: {one_line(error)}") from error


def _verify(path: Path) -> None:
    """Check a PNG up to its end: decoding stops at the last pixel, before checksums and end mark."""
    with Image.open(path) as image:
        image.verify()


def _plain(image: Image.Image, path: Path) -> Image.Image:
    """`image` in mode "1", "L" or "RGB"; no conversion loses anything but an opaque alpha."""
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise DataError(f"{path}: expected one image; got {frames} in one file")
    if image.mode in ("1", "L", "RGB"):
        return image
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert("RGB")
    if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema() == (255, 255):
        return image.convert(image.mode.removesuffix("A"))
    raise DataError(
        f"{path}: expected an opaque grey or RGB image of 8 bits a channel; got Pillow's mode "
        f"{image.mode}: convert it first"
    )
