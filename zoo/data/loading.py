"""`load_data`: a data set by its name or its path."""

import os
from pathlib import Path

from zoo.data.benchmark_files import FILE_SETS, load_files
from zoo.data.digits import load_digits
from zoo.data.folders import load_folder
from zoo.data.image_data import ImageData
from zoo.data.names import DATASETS, EMBEDDED, canonical_name
from zoo.data.numpy_files import SUFFIXES, load_numpy
from zoo.data.splits import Source, split_up
from zoo.data.torchvision_sets import load_torchvision
from zoo.errors import DataError, did_you_mean


def load_data(
    name: str | os.PathLike[str],
    *,
    data_root: str | os.PathLike[str] | None = None,
    download: bool = False,
    validation: int | float | None = None,
    seed: int = 0,
) -> ImageData:
    """Load images by the name of a set or the path of a file or folder.

    Names are the keys of `DATASETS`; case, hyphens and underscores do not matter. "digits" is
    embedded; the others are read from `data_root`, in torchvision's layout or from the files as they
    were published. A name goes before a path: write "./mnist" for a folder that is called like a set.

    A path is one of:

    - a folder of image files of one size, grey or RGB, at any depth, in the order of their paths;
      sub-folders ``train``, ``validation`` (or ``val``) and ``test``, whatever their case, are its
      splits, and then all images lie in them;
    - a folder with ``train.npz`` and perhaps ``validation.npz`` and ``test.npz`` (or .npy), each
      with ``images`` and perhaps ``labels``, or with one array;
    - a .npz with ``train`` and perhaps ``validation``, ``test``, ``train_labels``, ... (or
      ``x_train``, ``y_train``, ``train_images``, ...), or with ``images`` and perhaps ``labels``,
      or with one array; a scalar ``levels`` states their number;
    - a .npy with one array.

    What cannot be read whole is refused by its name: a damaged or cut file, a link that leads nowhere.

    Arrays are (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3; a shape that could be two of
    these is refused. They hold whole numbers 0 .. 255, or floats in [0, 1], which are rounded to
    256 levels with a warning if they were not on that grid. Where all values are 0 or 1, the set
    has 2 levels.

    Splits: a set without a test split gives a tenth of its images, at most 10,000, drawn by `seed`.
    Validation images are held out of those that train:

    - `validation` given: so many, drawn by `seed`; 0 for none;
    - None: the split that a file or folder has; for MNIST, Fashion-MNIST and KMNIST the last
      10,000 training images, for "omniglot28" the last 1,345, as is the custom; for "digits" 100;
      for others none.

    "digits" always has the same 297 test images.

    Args:
        name: a name or a path.
        data_root: where named sets are kept; None: the folder ``data`` of the working directory.
        download: fetch a named set that is not there. Nothing is downloaded otherwise.
        validation: a number of images, or a fraction of the training images in [0, 1).
        seed: for what is held out at random.

    Raises:
        DataError: an unknown name; data that are missing, unreadable, or of a wrong shape, type or
            range; `validation` that leaves nothing to train.
    """
    known = canonical_name(name) if isinstance(name, str) else None
    if known is not None:
        root = Path("data" if data_root is None else data_root).expanduser()
        source = _named(known, root, download=download)
        return split_up(known, source, validation, seed)
    path = Path(name).expanduser()
    return split_up(_title(path), _from_path(path, name), validation, seed)


def resolved_name(name: str | os.PathLike[str]) -> str:
    """What `name` means from every folder: the key of `DATASETS`, or an absolute path.

    What is neither the name of a set nor an existing path is returned as it is: loading refuses it.

    >>> resolved_name("Fashion-MNIST")
    'fashion_mnist'
    """
    known = canonical_name(name) if isinstance(name, str) else None
    if known is not None:
        return known
    path = Path(name).expanduser()
    return str(path.resolve()) if name and path.exists() else str(name)


def _named(name: str, root: Path, *, download: bool) -> Source:
    if name == EMBEDDED:
        return load_digits()
    if name in FILE_SETS:
        return load_files(name, root)
    return load_torchvision(name, root, download=download)


def _from_path(path: Path, written: str | os.PathLike[str]) -> Source:
    if not written:  # `Path("")` is the working directory
        raise _unknown("")
    if path.is_dir():
        return load_folder(path)
    if path.is_file():
        if path.suffix.lower() in SUFFIXES:
            return load_numpy(path)
        raise DataError(f"{path}: expected a folder, a .npz or a .npy file; got another file")
    if isinstance(written, str) and written == path.stem:
        raise _unknown(written)
    raise DataError(
        f"{path.absolute()}: expected a folder, a .npz or a .npy file; found nothing there: check the path"
    )


def _title(path: Path) -> str:
    return path.stem if path.suffix.lower() in SUFFIXES else path.absolute().name


def _unknown(name: str) -> DataError:
    guess = did_you_mean(name, DATASETS)
    return DataError(
        f"expected the name of a data set or the path of a folder, .npz or .npy; got {name!r}: "
        f"{guess + ' ' if guess else ''}names are {', '.join(DATASETS)}; {EMBEDDED} is embedded"
    )
