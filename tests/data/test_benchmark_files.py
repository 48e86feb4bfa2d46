"""Sets read from the files as they were published; here small files of the same format."""

import numpy as np
import pytest
import scipy.io
import torch

from zoo.data import Protocol, load_data
from zoo.data.benchmark_files import FILE_SETS
from zoo.errors import DataError


def bits(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (count, 28, 28)).astype(np.uint8)


def matlab_rows(images):
    """One image a row, its pixels column by column, as MATLAB flattens."""
    return images.transpose(0, 2, 1).reshape(len(images), -1)


def write_amat(path, images, between=" ", end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = images.reshape(len(images), -1)
    path.write_text("".join(between.join(map(str, row)) + end for row in rows))


def write_static_mnist(folder, **style):
    for split, count in (("train", 6), ("valid", 3), ("test", 2)):
        write_amat(folder / f"binarized_mnist_{split}.amat", bits(count, seed=count), **style)


@pytest.mark.parametrize("style", [{}, {"end": " \n"}, {"end": "\r\n"}, {"between": "\t"}])
@pytest.mark.parametrize("folder", ["", "static_mnist"])
def test_static_mnist(tmp_path, folder, style):
    write_static_mnist(tmp_path / folder, **style)
    data = load_data("static-MNIST", data_root=tmp_path)
    for split, count in (("train", 6), ("validation", 3), ("test", 2)):
        assert torch.equal(data.split(split)[:, 0], torch.from_numpy(bits(count, seed=count)))
    assert (data.image_shape, data.levels) == ((1, 28, 28), 2)


def test_static_mnist_is_the_same_under_every_seed(tmp_path):
    write_static_mnist(tmp_path)
    protocols = [Protocol("static_mnist"), Protocol("static_mnist", "static", 3)]
    one, other = (p.load(data_root=tmp_path) for p in protocols)
    assert one.fingerprint == other.fingerprint
    assert {p.describe(d) for p, d in zip(protocols, (one, other), strict=True)} == {
        "static_mnist (6 train, 3 validation, 2 test), binary in its files"
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-10], "lines of 779, 784 bits"),
        (lambda text: text.replace("0 1", "01", 1), "other text"),
        (lambda text: text.replace("1", "2", 1), "other text"),
        (lambda text: text.replace("1", "0.5", 1), "other text"),
        (lambda text: text.replace("\n", " "), "lines of 1568 bits"),
        (lambda text: "", "lines of no bits"),
        (lambda text: "\n\n", "lines of no bits"),
    ],
)
def test_damaged_text_is_refused_by_name(tmp_path, change, message):
    write_static_mnist(tmp_path)
    path = tmp_path / "binarized_mnist_test.amat"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=rf"_test\.amat: expected lines of 784 .*got {message}"):
        load_data("static_mnist", data_root=tmp_path)


def test_omniglot28(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (9, 28, 28)) / 255
    arrays = {"data": matlab_rows(grey[:6]).T, "testdata": matlab_rows(grey[6:]).T}
    scipy.io.savemat(tmp_path / "chardata.mat", {**arrays, "target": np.eye(50)[:, :6]})
    data = load_data("omniglot28", data_root=tmp_path)
    expected = torch.from_numpy(np.rint(grey * 255).astype(np.uint8))
    assert torch.equal(data.train[:, 0], expected[:6])
    assert torch.equal(data.test[:, 0], expected[6:])
    assert data.levels == 256


@pytest.mark.parametrize(("count", "validate"), [(24_345, 1345), (24_344, 0)])
def test_the_last_images_of_the_published_omniglot_validate(tmp_path, count, validate):
    numbers = np.zeros((784, count), np.uint8)
    numbers[:2] = np.arange(count) // 256, np.arange(count) % 256
    scipy.io.savemat(tmp_path / "chardata.mat", {"data": numbers, "testdata": numbers[:, :10]})
    data = load_data("omniglot28", data_root=tmp_path)
    where = data.validation.flatten(2)[:, 0, [0, 28]].long()  # pixels 0 and 1 of the first column
    assert (where @ torch.tensor([256, 1])).tolist() == list(range(count - validate, count))


def test_caltech_silhouettes(tmp_path):
    images = {"train": bits(5), "val": bits(4, 1), "test": bits(3, 2)}
    arrays = {f"{split}_data": matlab_rows(own) for split, own in images.items()}
    scipy.io.savemat(tmp_path / "caltech101_silhouettes_28_split1.mat", arrays)
    data = load_data("caltech_silhouettes", data_root=tmp_path)
    for split, own in zip(("train", "validation", "test"), images.values(), strict=True):
        assert torch.equal(data.split(split)[:, 0], torch.from_numpy(own))
    assert data.levels == 2


def test_frey_faces(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (1965, 28, 20)).astype(np.uint8)
    scipy.io.savemat(tmp_path / "frey_rawface.mat", {"ff": frames.reshape(1965, -1).T})
    data = load_data("frey_faces", data_root=tmp_path)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [1565, 200, 200]
    everything = torch.cat([data.train, data.validation, data.test])[:, 0]
    # Every frame once: no two of these random ones share their first pixels.
    assert {bytes(f[0].tolist()) for f in everything} == {bytes(f[0].tolist()) for f in frames}
    assert everything.shape == (1965, 28, 20)
    assert not torch.equal(everything, torch.from_numpy(frames))  # the film's end would be a biased test


@pytest.mark.parametrize("name", FILE_SETS)
@pytest.mark.parametrize("download", [False, True])
def test_a_missing_file_is_named_with_its_origin(tmp_path, name, download):
    spec = FILE_SETS[name]
    with pytest.raises(DataError, match=f"{name}: expected {spec.files[0]} in {tmp_path}; .*{spec.address}"):
        load_data(name, data_root=tmp_path, download=download)


def test_every_one_of_several_files_is_needed(tmp_path):
    write_static_mnist(tmp_path)
    (tmp_path / "binarized_mnist_valid.amat").unlink()
    with pytest.raises(DataError, match=r"expected binarized_mnist_valid\.amat in"):
        load_data("static_mnist", data_root=tmp_path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": np.zeros((784, 3))}, "expected the arrays data, testdata; testdata missing"),
        (
            {"data": np.zeros((783, 3)), "testdata": np.zeros((784, 3))},
            r"784 pixels; got .* \(3, 783\)",
        ),
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays, message):
    scipy.io.savemat(tmp_path / "chardata.mat", arrays)
    with pytest.raises(DataError, match=rf"chardata\.mat: .*{message}"):
        load_data("omniglot28", data_root=tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_a_damaged_matlab_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "chardata.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"chardata\.mat: cannot be read as a MATLAB file") as caught:
        load_data("omniglot28", data_root=tmp_path)
    assert "\n" not in str(caught.value)


def test_without_scipy_the_cure_is_named(tmp_path, monkeypatch):
    (tmp_path / "chardata.mat").write_bytes(b"")
    monkeypatch.setattr("zoo.data.requirements.find_spec", lambda module: None)
    with pytest.raises(DataError, match=r"omniglot28: expected scipy, .* pip install scipy"):
        load_data("omniglot28", data_root=tmp_path)
