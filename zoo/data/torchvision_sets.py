"""Sets that torchvision knows how to read and to download.

A download goes to a new folder beside the place where the set will be, and moves there when it is
complete: an interrupted one leaves nothing half done, and no file is ever written over.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.names import EMBEDDED
from zoo.data.requirements import require_module
from zoo.data.splits import Source, source_from_arrays
from zoo.errors import DataError, one_line

Arrays = tuple[np.ndarray, np.ndarray]
_DOWNLOAD = "--download (download=True)"
_ROOT = "--data-root (data_root=)"


@dataclass(frozen=True)
class TorchvisionSet:
    """How to get a set from torchvision.

    Attributes:
        class_name: the class in `torchvision.datasets`.
        train: keyword arguments that make the class read the training split.
        test: the same for the test split.
        keeps: what the class keeps in its root folder, so that we know where to look.
        arrays: images, in a shape `zoo.data.arrays` takes, and labels of the class's object.
        levels: number of values a sub-pixel can take.
        usual_validation: one in so many training images, the last ones, is for validation; 0: none.
        needs: a module that torchvision needs for this set only.
    """

    class_name: str
    train: Mapping[str, Any]
    test: Mapping[str, Any]
    keeps: tuple[str, ...]
    arrays: Callable[[Any], Arrays]
    levels: int = 256
    usual_validation: int = 0
    needs: str | None = None


def load_torchvision(name: str, root: Path, *, download: bool) -> Source:
    """Read a set from `root`, downloading it first only if it is not there and `download` is set.

    Raises:
        DataError: not there, damaged, or the download failed.
    """
    spec = SETS[name]
    there = [path for kept in spec.keeps if _holds_files(path := root / kept)]
    if not there and not download:
        where = " and ".join(str((root / kept).absolute()) for kept in spec.keeps)
        raise DataError(
            f"{name}: expected it in {where}; found nothing there: fetch it with {_DOWNLOAD}, "
            f"point {_ROOT} at a folder that has it, or take {EMBEDDED}, which is embedded"
        )
    reader = _torchvision_class(name, spec)
    if there:
        return _read_kept(name, spec, reader, root)
    return _download(name, spec, reader, root)


def _holds_files(path: Path) -> bool:
    return path.is_file() or any(below.is_file() for below in path.rglob("*"))


def _read_kept(name: str, spec: TorchvisionSet, reader: Any, root: Path) -> Source:
    try:
        return _read(name, spec, reader, root, download=False)
    # torchvision's readers assert, index and unpickle: what damage raises is anybody's guess.
    except Exception as error:
        raise DataError(
            f"{name}: expected a complete copy of {' and '.join(spec.keeps)} in "
            f"{root.absolute()}; got one that cannot be read ({_described(error)}): move it away "
            f"and fetch it again with {_DOWNLOAD}"
        ) from error


def _download(name: str, spec: TorchvisionSet, reader: Any, root: Path) -> Source:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as fresh:
            source = _read(name, spec, reader, Path(fresh), download=True)
            for kept in spec.keeps:
                _move_new_files(Path(fresh), root, kept)
            return source
    # Whatever the network, the disk or a server's answer can do.
    except Exception as error:
        raise DataError(
            f"{name}: expected to download it to {root.absolute()}; failed with "
            f"{_described(error)}: check the network and the disk, or point {_ROOT} at a folder "
            f"that has it"
        ) from error


def _move_new_files(source: Path, target: Path, kept: str) -> None:
    """Move the file or tree `kept` from `source` to `target`, leaving alone what is there."""
    tree = source / kept
    for path in [tree] if tree.is_file() else sorted(tree.rglob("*")):
        new = target / path.relative_to(source)
        if path.is_file() and not new.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            path.rename(new)


def _read(name: str, spec: TorchvisionSet, reader: Any, root: Path, *, download: bool) -> Source:
    images, labels = {}, {}
    for split, options in (("train", spec.train), ("test", spec.test)):
        with warnings.catch_warnings():
            # NumPy 2.4 on the pickles of CIFAR, which were written in 2009.
            warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
            dataset = reader(str(root), download=download, **options)
        images[split], labels[split] = spec.arrays(dataset)
    source = source_from_arrays(images, labels, name, spec.levels)
    part = spec.usual_validation
    usual = len(source.splits["train"]) // part if part else 0
    return Source(source.splits, source.levels, usual)


def _torchvision_class(name: str, spec: TorchvisionSet) -> Any:
    if spec.needs is not None:
        require_module(name, spec.needs)
    try:
        from torchvision import datasets
    # A torchvision built for another torch fails with RuntimeError.
    except (ImportError, RuntimeError) as error:
        raise DataError(
            f"{name}: expected torchvision to read it; importing that failed with "
            f"{_described(error)}: install the release that belongs to your torch, or take "
            f"{EMBEDDED}, which is embedded"
        ) from error
    return getattr(datasets, spec.class_name)


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(error)}"


def _plain(dataset: Any) -> Arrays:
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    return np.asarray(dataset.data), np.asarray(labels)


def _upright(dataset: Any) -> Arrays:
    """EMNIST: its files hold the images transposed."""
    images, labels = _plain(dataset)
    return images.transpose(0, 2, 1), labels


def _omniglot(dataset: Any) -> Arrays:
    """Omniglot: black ink on white, one bit a pixel; here ink is 1."""
    read = [(np.asarray(image) == 0, label) for image, label in dataset]
    return np.stack([image for image, _ in read]), np.asarray([label for _, label in read])


def _mnist_like(class_name: str) -> TorchvisionSet:
    # A sixth is the customary 10,000 of 60,000.
    return TorchvisionSet(
        class_name, {"train": True}, {"train": False}, (class_name,), _plain, usual_validation=6
    )


def _emnist(part: str) -> TorchvisionSet:
    return TorchvisionSet(
        "EMNIST",
        {"split": part, "train": True},
        {"split": part, "train": False},
        ("EMNIST",),
        _upright,
    )


def _cifar(class_name: str, folder: str) -> TorchvisionSet:
    return TorchvisionSet(class_name, {"train": True}, {"train": False}, (folder,), _plain)


SETS: dict[str, TorchvisionSet] = {
    "mnist": _mnist_like("MNIST"),
    "fashion_mnist": _mnist_like("FashionMNIST"),
    "kmnist": _mnist_like("KMNIST"),
    "emnist_balanced": _emnist("balanced"),
    "emnist_letters": _emnist("letters"),
    "omniglot": TorchvisionSet(
        "Omniglot", {"background": True}, {"background": False}, ("omniglot-py",), _omniglot, 2
    ),
    "cifar10": _cifar("CIFAR10", "cifar-10-batches-py"),
    "cifar100": _cifar("CIFAR100", "cifar-100-python"),
    "svhn": TorchvisionSet(
        "SVHN",
        {"split": "train"},
        {"split": "test"},
        ("train_32x32.mat", "test_32x32.mat"),
        _plain,
        needs="scipy",
    ),
}
