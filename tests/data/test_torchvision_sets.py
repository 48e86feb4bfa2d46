import builtins
import hashlib
import pickle
import struct
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

import zoo.data.torchvision_sets as sets
from zoo.data import load_data
from zoo.errors import DataError

datasets = pytest.importorskip("torchvision.datasets")


def some(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)  # 8: unsigned bytes
    path.write_bytes(header + array.tobytes())


def write_mnist(raw, train=12, test=5):
    for part, count in (("train", train), ("t10k", test)):
        write_idx(raw / f"{part}-images-idx3-ubyte", some(count, 28, 28, seed=count))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("Fashion-MNIST", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_mnist_and_its_kin(tmp_path, name, folder):
    write_mnist(tmp_path / folder / "raw")
    data = load_data(name, data_root=tmp_path)
    train = torch.from_numpy(some(12, 28, 28, seed=12))[:, None]
    assert data.image_shape == (1, 28, 28)
    # The last sixth, 10,000 of the real 60,000, validates.
    assert torch.equal(data.train, train[:10])
    assert torch.equal(data.validation, train[10:])
    assert data.validation_labels.tolist() == [0, 1]
    assert torch.equal(data.test[:, 0], torch.from_numpy(some(5, 28, 28, seed=5)))


def test_given_validation_replaces_the_usual_one(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw")
    data = load_data("mnist", data_root=str(tmp_path), validation=0)
    assert [len(data.train), len(data.validation)] == [12, 0]
    assert len(load_data("mnist", data_root=tmp_path, validation=0.5).validation) == 6


def test_default_root_is_the_folder_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path / "data" / "MNIST" / "raw")
    assert len(load_data("mnist").test) == 5


def test_emnist_is_turned_upright(tmp_path):
    for part in ("train", "test"):
        stem = tmp_path / "EMNIST" / "raw" / f"emnist-letters-{part}"
        write_idx(stem.with_name(f"{stem.name}-images-idx3-ubyte"), some(3, 28, 28))
        write_idx(stem.with_name(f"{stem.name}-labels-idx1-ubyte"), np.arange(3, dtype=np.uint8))
    data = load_data("emnist_letters", data_root=tmp_path)
    assert np.array_equal(data.train[:, 0].numpy(), some(3, 28, 28).transpose(0, 2, 1))


@pytest.mark.parametrize(
    ("name", "class_name", "key"),
    [("cifar10", "CIFAR10", "labels"), ("cifar100", "CIFAR100", "fine_labels")],
)
def test_cifar(tmp_path, monkeypatch, name, class_name, key):
    reader = getattr(datasets, class_name)
    folder = tmp_path / reader.base_folder
    folder.mkdir()

    def write(parts, content):
        listed = []
        for index, (file, _) in enumerate(parts):
            (folder / file).write_bytes(pickle.dumps(content(index)))
            listed.append([file, md5(folder / file)])
        return listed

    def batch(index):
        return {"data": some(4, 3072, seed=index), key: [index] * 4}

    train = write(reader.train_list, batch)
    test = write(reader.test_list, batch)
    ((_, meta),) = write([[reader.meta["filename"], ""]], lambda _: {reader.meta["key"]: []})
    monkeypatch.setattr(reader, "train_list", train)
    monkeypatch.setattr(reader, "test_list", test)
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": meta})
    data = load_data(name, data_root=tmp_path)
    assert len(data.train) == 4 * len(train)
    assert np.array_equal(data.test.numpy(), some(4, 3072).reshape(4, 3, 32, 32))
    assert data.test_labels.tolist() == [0] * 4


@pytest.fixture
def svhn(tmp_path, monkeypatch):
    listed = {}
    for split in ("train", "test"):
        path = tmp_path / f"{split}_32x32.mat"
        images = some(4, 32, 32, 3).transpose(1, 2, 3, 0)
        scipy.io.savemat(path, {"X": images, "y": np.array([[1], [2], [9], [10]], np.uint8)})
        listed[split] = ["", path.name, md5(path)]
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)
    return tmp_path


def test_svhn(svhn):
    data = load_data("svhn", data_root=svhn)
    assert np.array_equal(data.train.permute(0, 2, 3, 1).numpy(), some(4, 32, 32, 3))
    assert data.test_labels.tolist() == [1, 2, 9, 0]


def test_missing_module_is_named(svhn, monkeypatch):
    monkeypatch.setattr("zoo.data.requirements.find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"svhn: expected scipy, .* pip install scipy"):
        load_data("svhn", data_root=svhn)


def test_omniglot_ink_is_one(tmp_path, monkeypatch):
    sums = {}
    ink = some(2, 105, 105) > 128
    for part in ("images_background", "images_evaluation"):
        folder = tmp_path / "omniglot-py" / part / "Alphabet"
        for index, image in enumerate(ink):
            (folder / f"character0{index}").mkdir(parents=True)
            Image.fromarray(~image).save(folder / f"character0{index}" / "1.png")
        archive = tmp_path / "omniglot-py" / f"{part}.zip"
        archive.write_bytes(b"")
        sums[part] = md5(archive)
    monkeypatch.setattr(datasets.Omniglot, "zips_md5", sums)
    data = load_data("omniglot", data_root=tmp_path)
    assert (data.levels, data.image_shape) == (2, (1, 105, 105))
    assert np.array_equal(data.train[:, 0].numpy(), ink)
    assert data.test_labels.tolist() == [0, 1]


# --- Missing, damaged, downloaded -----------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch):
    """Anything that would open a connection fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError("a download was tried")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.mark.parametrize("name", sorted(sets.SETS))
def test_missing_sets_say_where_and_what_to_do(tmp_path, offline, name):
    with pytest.raises(DataError, match=r"--download .* --data-root .* digits") as caught:
        load_data(name, data_root=tmp_path)
    assert str(tmp_path / sets.SETS[name].keeps[0]) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


DAMAGES = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "empty": lambda path: path.write_bytes(b""),
    "header only": lambda path: path.write_bytes(path.read_bytes()[:8]),
    "nonsense": lambda path: path.write_bytes(b"\xff" * 99),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_damaged_sets_are_refused_and_left_alone(tmp_path, offline, file, damage, download):
    write_mnist(tmp_path / "MNIST" / "raw")
    DAMAGES[damage](tmp_path / "MNIST" / "raw" / file)
    before = files(tmp_path)
    with pytest.raises(DataError, match=r"mnist: .*cannot be read .* move it away") as caught:
        load_data("mnist", data_root=tmp_path, download=download)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == before


@pytest.fixture
def served(monkeypatch):
    """torchvision's download, without a network: it writes a small MNIST."""
    roots = []

    def download(self):
        roots.append(self.root)
        if not self._check_exists():
            write_mnist(sets.Path(self.raw_folder))

    monkeypatch.setattr(datasets.MNIST, "download", download)
    return roots


def test_download_lands_complete_and_once(tmp_path, served):
    root = tmp_path / "new" / "root"
    (root / "MNIST" / "raw").mkdir(parents=True)  # an earlier attempt's empty folders
    first = load_data("mnist", data_root=root, download=True)
    assert served
    assert str(root) not in served  # not written in place
    served.clear()
    again = load_data("mnist", data_root=root, download=True)
    assert not served
    assert torch.equal(first.train, again.train)
    assert [path.name for path in root.iterdir()] == ["MNIST"]
    assert torch.equal(load_data("mnist", data_root=root).test, first.test)


def test_download_never_writes_over_a_file(tmp_path):
    (tmp_path / "fresh" / "kept").mkdir(parents=True)
    (tmp_path / "root" / "kept").mkdir(parents=True)
    for place, names in (("fresh", "ab"), ("root", "a")):
        for name in names:
            (tmp_path / place / "kept" / name).write_text(place)
    sets._move_new_files(tmp_path / "fresh", tmp_path / "root", "kept")
    assert (tmp_path / "root" / "kept" / "a").read_text() == "root"
    assert (tmp_path / "root" / "kept" / "b").read_text() == "fresh"


@pytest.mark.parametrize(
    "failure",
    [
        URLError("no\nroute to host"),
        TimeoutError("timed out"),
        RuntimeError("File not found or corrupted."),
        PermissionError(13, "Permission denied"),
    ],
)
def test_failed_download_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, failure):
    def download(self):
        write_idx(sets.Path(self.raw_folder) / "train-images-idx3-ubyte", some(1, 28, 28))
        raise failure

    monkeypatch.setattr(datasets.MNIST, "download", download)
    with pytest.raises(DataError, match=f"failed with {type(failure).__name__}") as caught:
        load_data("mnist", data_root=tmp_path, download=True)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_root_that_is_a_file(tmp_path):
    (tmp_path / "root").write_text("")
    for download in (False, True):
        with pytest.raises(DataError, match="root"):
            load_data("mnist", data_root=tmp_path / "root", download=download)


@pytest.mark.parametrize("failure", [ImportError("none"), RuntimeError("operator nms")])
def test_torchvision_that_does_not_import(tmp_path, monkeypatch, failure):
    write_mnist(tmp_path / "MNIST" / "raw")
    real = builtins.__import__

    def fail(name, *args, **kwargs):
        if name == "torchvision":
            raise failure
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(DataError, match=r"expected torchvision .* install the release"):
        load_data("mnist", data_root=tmp_path)
