"""Grids of images as PNG files."""

import io
import math
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad

from zoo.errors import DataError, UsageError

_SIDE = 64  # pixels that an image's shorter side gets at least: 8 x 8 digits are specks otherwise
_MOST = 10_000  # images in a picture: of 64 pixels a side they take 0.5 GB
_GAP = 2  # pixels between images
_GREY = 0.5  # and around them: digits are black at the rim, and some pictures white


def save_grid(
    images: Tensor,
    path: str | Path,
    *,
    columns: int | None = None,
    scale: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write images side by side into a PNG file; folders above it are made.

    Args:
        images: (N, C, H, W), C = 1 or 3, floats in [0, 1]; what is not a number becomes black.
        path: a name that ends in ``.png``.
        columns: images in a row; by default the grid is about square.
        scale: each pixel becomes scale x scale; by default an image gets 64 or more a side.
        overwrite: replace a file that is there.

    Returns:
        The path.

    Raises:
        DataError: `images` has another shape, type or range.
        UsageError: the file is there, is not named ``.png`` or cannot be written.
    """
    path = require_picture_place(path, overwrite=overwrite)
    png = _png(grid(images, columns=columns, scale=scale))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, png, overwrite)
    except FileExistsError:
        raise _in_the_way(path) from None
    except OSError as error:
        raise UsageError(
            f"could not write picture {path}: expected room for {len(png)} bytes and the right to "
            f"write there; got '{error.strerror}'; choose another place"
        ) from error
    return path


def require_picture_place(path: str | Path, *, images: int = 1, overwrite: bool = False) -> Path:
    """Check, before the work is done, that `save_grid` may write so many images there.

    Raises:
        UsageError: the file is there, or is not named ``.png``, or the images are too many for a picture.
    """
    path = Path(path)
    if images > _MOST:
        raise UsageError(f"expected at most {_MOST:,} images for a picture; got {images:,}")
    if path.suffix.lower() != ".png":
        raise UsageError(f"expected a picture's name to end in .png; got {path}; rename it")
    if path.exists() and not overwrite:
        raise _in_the_way(path)
    return path


def _in_the_way(path: Path) -> UsageError:
    return UsageError(
        f"expected a new file for the picture; got {path}, which is there; choose another name, or remove "
        "it first"
    )


def grid(images: Tensor, *, columns: int | None = None, scale: int | None = None) -> Tensor:
    """Lay images (N, C, H, W) in [0, 1] side by side, 2 pixels apart: (3, height, width); one as it is."""
    _check(images)
    if columns is None:
        columns = math.ceil(math.sqrt(len(images)))
    if scale is None:
        scale = math.ceil(_SIDE / min(images.shape[-2:]))
    if columns < 1 or scale < 1:
        raise UsageError(f"expected columns and scale of 1 or more; got {columns} and {scale}")
    pixels = images.detach().float().cpu().nan_to_num(0.0).clamp(0, 1)
    pixels = pixels.expand(-1, 3, -1, -1)
    pixels = pixels.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    return pixels[0] if len(pixels) == 1 else _side_by_side(pixels, min(columns, len(pixels)))


def _side_by_side(pixels: Tensor, columns: int) -> Tensor:
    """Images (N, C, h, w) in rows of `columns`; torchvision, which also can, takes 1.6 s to import."""
    missing = -len(pixels) % columns
    framed = pad(pixels, (_GAP, 0, _GAP, 0), value=_GREY)
    framed = pad(framed, (0, 0, 0, 0, 0, 0, 0, missing), value=_GREY)
    picture = rearrange(framed, "(row column) c h w -> c (row h) (column w)", column=columns)
    return pad(picture, (0, _GAP, 0, _GAP), value=_GREY)


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.numel() == 0:
        raise DataError(
            f"expected images of shape (N, C, H, W) with C = 1 or 3 and N > 0; got "
            f"{tuple(images.shape)}; reshape or permute them"
        )
    if not images.is_floating_point():
        raise DataError(f"expected pixels as floats in [0, 1]; got {images.dtype}; divide 0..255 by 255")
    low, high = images.nan_to_num(0.0).aminmax()
    if low < -1e-3 or high > 1 + 1e-3:  # a rounding error is no mistake
        raise DataError(
            f"expected pixels in [0, 1]; got {low:.4g} to {high:.4g}; clamp them, or divide by 255"
        )


def _png(picture: Tensor) -> bytes:
    from PIL import Image

    pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, format="PNG")
    return file.getvalue()


def _write(path: Path, content: bytes, overwrite: bool) -> None:
    file = open(path, "wb" if overwrite else "xb")  # noqa: SIM115 - opening may refuse, see below
    try:
        with file:
            file.write(content)
    except OSError:
        path.unlink()  # half a picture
        raise
