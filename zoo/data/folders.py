"""Data sets in folders: of image files, or of one .npz or .npy file a split."""

from pathlib import Path

import numpy as np
from PIL import Image

from zoo.data.numpy_files import load_numpy_splits
from zoo.data.splits import Source, source_from_arrays
from zoo.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
_FOLDERS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


def load_folder(folder: Path) -> Source:
    """Read a set from a folder; see `load_data` for the layouts."""
    files = _split_files(folder)
    if files:
        return load_numpy_splits(files, str(folder))
    folders = _split_folders(folder) or {"train": folder}
    paths = {split: _image_paths(where) for split, where in folders.items()}
    first = next(iter(paths.values()))[0]
    images = {split: _read_images(own, first) for split, own in paths.items()}
    return source_from_arrays(images, {}, str(folder))


def _split_files(folder: Path) -> dict[str, Path]:
    return {
        split: path
        for split, names in _FOLDERS.items()
        for name in names
        for suffix in (".npy", ".npz")
        if (path := folder / f"{name}{suffix}").is_file()
    }


def _split_folders(folder: Path) -> dict[str, Path]:
    return {
        split: path for split, names in _FOLDERS.items() for name in names if (path := folder / name).is_dir()
    }


def _image_paths(folder: Path) -> list[Path]:
    paths = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not paths:
        raise DataError(
            f"{folder}: expected image files ({', '.join(sorted(SUFFIXES))}), or train.npz and "
            f"test.npz; found none"
        )
    return sorted(paths)


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
            return np.asarray(_plain(image, path))
    except DataError:
        raise
    # Pillow's decoders raise whatever the damage made them stumble over.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as an image: {' '.join(str(error).split())}") from error


def _plain(image: Image.Image, path: Path) -> Image.Image:
    """`image` in mode "1", "L" or "RGB"; no conversion loses anything but an opaque alpha."""
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
