import contextlib
import io
import os
import warnings
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.data import load_data
from zoo.errors import DataError


def some(*shape, high=256, seed=0):
    return np.random.default_rng(seed).integers(0, high, shape).astype(np.uint8)


def every_image(data):
    return torch.cat([data.train, data.validation, data.test])


def rows(images):
    return {tuple(image.flatten().tolist()) for image in images}


def write_png(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)


def write_folder(folder, count, shape=(6, 5), seed=0):
    for index, image in enumerate(some(count, *shape, seed=seed)):
        write_png(folder / f"{index:03}.png", image)


# --- Shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [
        ((10, 6, 5), (1, 6, 5)),
        ((10, 6, 5, 1), (1, 6, 5)),
        ((10, 6, 5, 3), (3, 6, 5)),
        ((10, 1, 6, 5), (1, 6, 5)),
        ((10, 3, 6, 5), (3, 6, 5)),
        ((10, 3, 3, 5), (3, 3, 5)),
        ((10, 6, 3, 3), (3, 6, 3)),
        ((3, 6, 5), (1, 6, 5)),
    ],
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_shapes_that_say_what_they_are(tmp_path, suffix, shape, image_shape):
    array = some(*shape)
    path = tmp_path / f"set.{suffix}"
    (np.save if suffix == "npy" else np.savez)(path, array)
    data = load_data(str(path))
    assert data.image_shape == image_shape
    assert data.name == "set"
    assert data.train.dtype == torch.uint8
    assert data.train.is_contiguous()
    channels_last = shape[-1] in (1, 3) and len(shape) == 4
    nchw = array.transpose(0, 3, 1, 2) if channels_last else array.reshape(-1, *image_shape)
    assert rows(every_image(data)) == rows(torch.from_numpy(nchw.copy()))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10, 3, 6, 3), "either way"),
        ((10, 3, 3, 3), "either way"),
        ((10, 1, 6, 1), "either way"),
        ((28, 28, 3), "a single image .* needs a leading 1"),
        ((28, 28, 1), "a single image"),
        ((10, 6, 5, 2), r"C = 1 or 3.*got \(10, 6, 5, 2\)"),
        ((10, 784), r"got \(10, 784\)"),
        ((10, 1, 1, 6, 5), r"got \(10, 1, 1, 6, 5\)"),
        ((), r"got \(\)"),
        ((0, 6, 5), r"none of them 0.*got \(0, 6, 5\)"),
    ],
)
def test_shapes_that_do_not(tmp_path, shape, message):
    np.save(tmp_path / "set.npy", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match=message):
        load_data(tmp_path / "set.npy")


# --- Values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "i8", "f2", "f4", ">f8"])
def test_whole_numbers_are_taken_as_they_are(tmp_path, dtype):
    array = some(10, 6, 5)
    np.save(tmp_path / "set.npy", array.astype(dtype))
    data = load_data(tmp_path / "set.npy")
    assert data.levels == 256
    assert rows(every_image(data)) == rows(torch.from_numpy(array))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_floats_on_the_grid_come_back_without_a_warning(tmp_path, dtype):
    array = some(10, 16, 16)
    np.save(tmp_path / "set.npy", (array / 255).astype(dtype))
    data = load_data(tmp_path / "set.npy")
    assert rows(every_image(data)) == rows(torch.from_numpy(array))


def test_floats_off_the_grid_are_rounded_with_a_warning(tmp_path):
    np.save(tmp_path / "set.npy", np.full((10, 6, 5), 0.5))
    with pytest.warns(UserWarning, match="rounded to 256 levels; the largest change is 0.50"):
        data = load_data(tmp_path / "set.npy")
    assert data.train.unique().tolist() == [128]


@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "f4"])
def test_zeros_and_ones_are_two_levels(tmp_path, dtype):
    array = some(10, 6, 5, high=2)
    np.save(tmp_path / "set.npy", array.astype(dtype))
    data = load_data(tmp_path / "set.npy")
    assert data.levels == 2
    assert rows(every_image(data)) == rows(torch.from_numpy(array))


def test_splits_are_judged_together(tmp_path):
    np.savez(tmp_path / "set.npz", train=some(10, 6, 5), test=np.ones((2, 6, 5), np.uint8))
    assert load_data(tmp_path / "set.npz").levels == 256


def test_levels_can_be_stated(tmp_path):
    np.savez(tmp_path / "set.npz", images=some(10, 6, 5, high=17), levels=17)
    assert load_data(tmp_path / "set.npz").levels == 17


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[[0.0, np.nan]]]), "finite values; got NaN or infinity"),
        (np.array([[[0.0, np.inf]]]), "finite"),
        (np.array([[[-1.0, 1.0]]]), "got float64 from -1 to 1"),
        (np.array([[[0.5, 200.0]]]), "got float64 from 0.5 to 200"),
        (np.array([[[0.0, 256.0]]]), "0 .. 255"),
        (np.array([[[0, 256]]]), "got int64 from 0 to 256"),
        (np.array([[[-1, 3]]]), "from -1 to 3"),
        (np.array([[[1j, 3]]]), "got train complex128"),
        (np.array([[["a", "b"]]]), "got train <U1"),
        (np.zeros((1, 1, 2), [("r", "u1")]), "bool, integer or float"),
    ],
)
def test_wrong_values_are_refused(tmp_path, array, message):
    np.save(tmp_path / "set.npy", array)
    with pytest.raises(DataError, match=message) as caught:
        load_data(tmp_path / "set.npy")
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- .npz -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("train", "validation", "test", "train_labels", "validation_labels", "test_labels"),
        ("x_train", "x_val", "x_test", "y_train", "y_val", "y_test"),
        ("X_train", "X_valid", "X_test", "Y_train", "Y_valid", "Y_test"),
        ("Training", "Validation", "Testing", "labels_train", "labels_val", "labels_test"),
        ("train_images", "val_images", "test_images", "train_labels", "val_labels", "test_labels"),
    ],
)
def test_splits_by_name(tmp_path, names):
    arrays = [some(count, 6, 5, seed=count) for count in (9, 4, 3)]
    labels = [np.arange(9), np.arange(4)[:, None], np.arange(3, dtype=np.uint8)]
    np.savez(tmp_path / "set.npz", **dict(zip(names, arrays + labels, strict=True)))
    data = load_data(tmp_path / "set.npz")
    for split, array in zip(("train", "validation", "test"), arrays, strict=True):
        assert np.array_equal(getattr(data, split)[:, 0].numpy(), array)
        own = getattr(data, f"{split}_labels")
        assert own.dtype == torch.int64
        assert own.tolist() == list(range(len(array)))


def test_images_and_labels_stay_together_when_held_out(tmp_path):
    images = np.arange(50, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(50))
    data = load_data(tmp_path / "set.npz", validation=7)
    seen = []
    for split in ("train", "validation", "test"):
        labels = getattr(data, f"{split}_labels")
        assert torch.equal(getattr(data, split)[:, 0, 0, 0].long(), labels)
        seen += labels.tolist()
    assert sorted(seen) == list(range(50))
    assert (len(data.train), len(data.validation), len(data.test)) == (38, 7, 5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "found none"),
        ({"test": some(3, 6, 5), "validation": some(3, 6, 5)}, "found only test, validation"),
        ({"test": some(30, 6, 5)}, "expected training images; found only test"),
        ({"x_test": some(30, 6, 5)}, "expected training images; found only test"),
        ({"train": some(3, 6, 5), "x_train": some(3, 6, 5)}, "found train, x_train"),
        ({"train": some(3, 6, 5), "y_test": np.arange(3)}, "found train, y_test"),
        ({"train": some(3, 6, 5), "labels": np.arange(3)}, "found train, labels"),
        ({"images": some(3, 6, 5), "test": some(3, 6, 5)}, "found images, test"),
        ({"train": some(3, 6, 5), "tset": some(3, 6, 5)}, "found train, tset"),
        ({"a": some(3, 6, 5), "b": some(3, 6, 5)}, "found a, b"),
        ({"images": some(3, 6, 5), "labels": np.arange(2)}, r"3 integer labels.*shape \(2,\)"),
        ({"images": some(3, 6, 5), "labels": np.ones(3)}, "integer labels.*got float64"),
        ({"train": some(3, 6, 5), "test": some(3, 5, 6)}, r"\(1, 6, 5\); got \(1, 5, 6\)"),
        ({"train": some(3, 6, 5), "test": np.ones((3, 6, 5))}, "got train uint8, test float64"),
        ({"train": some(3, 6, 5), "levels": 17.5}, "`levels` to be one integer"),
        ({"train": some(3, 6, 5), "levels": 1}, "levels from 2 to 256; got 1"),
        ({"train": some(3, 6, 5), "levels": 17}, r"0 \.\. 16"),
        ({"train": some(1, 6, 5)}, "at least 2 images to hold one out of; got 1"),
    ],
)
def test_wrong_archives_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_data(tmp_path / "set.npz")


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_python_objects_are_never_unpickled(tmp_path, suffix):
    path = tmp_path / f"set.{suffix}"
    objects = np.array([{"a": 1}, None], dtype=object)
    (np.save if suffix == "npy" else np.savez)(path, objects, allow_pickle=True)
    with pytest.raises(DataError, match="Python objects, which are never unpickled"):
        load_data(path)


def archive(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_damage_is_always_a_data_error(tmp_path, suffix):
    rng = np.random.default_rng(0)
    whole = archive(train=some(9, 6, 5), test=some(3, 6, 5))
    if suffix == "npy":
        file = io.BytesIO()
        np.save(file, some(9, 6, 5))
        whole = file.getvalue()
    path = tmp_path / f"set.{suffix}"
    for cut in [0, 1, 5, *rng.integers(6, len(whole) - 1, 40)]:
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="cannot be read"):
            load_data(path)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        # A flipped pixel of a .npy is an image like any other; what must not come is another error.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(DataError):
                load_data(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04N."])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="does not begin like one"):
        load_data(path)


def test_zip_of_other_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as file:
        file.writestr("notes.txt", "hello")
    with pytest.raises(DataError, match="archive of other files"):
        load_data(tmp_path / "set.npz")


# --- Folders --------------------------------------------------------------------------------------


def test_folder_of_archives(tmp_path):
    train, test = some(9, 8, 6, 3), some(4, 8, 6, 3, seed=1)
    np.savez(tmp_path / "train.npz", images=train, labels=np.arange(9, dtype=np.uint8))
    np.savez(tmp_path / "test.npz", images=test, labels=np.arange(4, dtype=np.uint8))
    data = load_data(tmp_path)
    assert np.array_equal(data.train.permute(0, 2, 3, 1).numpy(), train)
    assert np.array_equal(data.test.permute(0, 2, 3, 1).numpy(), test)
    assert data.train_labels.tolist() == list(range(9))
    assert len(data.validation) == 0


def test_folder_of_plain_arrays(tmp_path):
    for split, count in (("train", 9), ("val", 3), ("test", 4)):
        np.save(tmp_path / f"{split}.npy", some(count, 6, 5))
    data = load_data(tmp_path)
    assert [len(data.train), len(data.validation), len(data.test)] == [9, 3, 4]


def test_a_file_of_one_split_holds_no_other(tmp_path):
    np.savez(tmp_path / "train.npz", images=some(9, 6, 5))
    np.savez(tmp_path / "test.npz", train=some(9, 6, 5))
    with pytest.raises(DataError, match=r"test\.npz: expected only test images; found train"):
        load_data(tmp_path)


def test_folder_without_training_array(tmp_path):
    np.save(tmp_path / "test.npy", some(4, 6, 5))
    with pytest.raises(DataError, match="expected training images; found only test"):
        load_data(tmp_path)


def test_levels_of_a_folders_files_must_agree(tmp_path):
    np.savez(tmp_path / "train.npz", images=some(9, 6, 5, high=17), levels=17)
    np.savez(tmp_path / "test.npz", images=some(9, 6, 5, high=17))
    with pytest.raises(DataError, match="the same `levels` in all splits"):
        load_data(tmp_path)


def test_flat_folder_of_images(tmp_path):
    write_folder(tmp_path / "set", 20)
    (tmp_path / "set" / "notes.txt").write_text("not an image")
    (tmp_path / "set" / "._000.png").write_bytes(b"a Mac's droppings")
    data = load_data(str(tmp_path / "set"))
    assert data.name == "set"
    assert [len(data.train), len(data.validation), len(data.test)] == [18, 0, 2]
    assert rows(every_image(data)) == rows(torch.from_numpy(some(20, 6, 5)))


def test_folder_of_splits_in_order_of_paths(tmp_path):
    write_folder(tmp_path / "train" / "b", 3, (6, 5, 3), seed=1)
    write_folder(tmp_path / "train" / "a", 3, (6, 5, 3), seed=2)
    write_folder(tmp_path / "validation", 2, (6, 5, 3), seed=3)
    write_folder(tmp_path / "test", 4, (6, 5, 3), seed=4)
    data = load_data(tmp_path)
    expected = np.concatenate([some(3, 6, 5, 3, seed=2), some(3, 6, 5, 3, seed=1)])
    assert np.array_equal(data.train.permute(0, 2, 3, 1).numpy(), expected)
    assert [len(data.validation), len(data.test)] == [2, 4]


def test_one_bit_images_are_two_levels(tmp_path):
    bits = some(10, 6, 5, high=2)
    for index, image in enumerate(bits):
        write_png(tmp_path / f"{index}.png", image.astype(bool))
    data = load_data(tmp_path)
    assert data.levels == 2
    assert rows(every_image(data)) == rows(torch.from_numpy(bits))


def test_opaque_alpha_and_palettes_become_rgb(tmp_path):
    colours = some(2, 6, 5, 3, high=2) * 255
    write_png(tmp_path / "0.png", colours[0], "RGBA")
    Image.fromarray(colours[1]).quantize(8).save(tmp_path / "1.png")
    expected = torch.from_numpy(colours).permute(0, 3, 1, 2)
    assert rows(every_image(load_data(tmp_path))) == rows(expected)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (some(5, 6), r"got 5x6 grey in .*0\.png and 6x5 grey in .*1\.png: crop or resize"),
        (some(6, 5, 3), r"5x6 grey in .*0\.png and 5x6 RGB in .*1\.png"),
        (some(6, 5) > 9, "5x6 grey .* 5x6 two-level"),
        (some(6, 5).astype(np.uint16) * 256, r"1\.png: expected .* 8 bits a channel; .* I;16"),
        (some(6, 5, 4), r"1\.png: expected an opaque .* RGBA"),
    ],
)
def test_mixed_images_are_refused_by_name(tmp_path, second, message):
    write_png(tmp_path / "0.png", some(6, 5))
    write_png(tmp_path / "1.png", second)
    with pytest.raises(DataError, match=message):
        load_data(tmp_path)


def test_splits_of_other_sizes_are_refused(tmp_path):
    write_folder(tmp_path / "train", 3)
    write_folder(tmp_path / "test", 3, (5, 6))
    with pytest.raises(DataError, match=r"train.000\.png and 6x5 grey in .*test.000\.png"):
        load_data(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_damaged_images_are_refused_by_name(tmp_path, content):
    write_folder(tmp_path, 2, (60, 50))
    path = tmp_path / "001.png"
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    with pytest.raises(DataError, match=r"001\.png: cannot be read as an image"):
        load_data(tmp_path)


@pytest.mark.parametrize("names", [("Train", "Test"), ("TRAIN", "Testing"), ("training", "test")])
@pytest.mark.parametrize("suffix", ["", ".npy"])
def test_splits_are_recognised_whatever_their_case(tmp_path, names, suffix):
    for name, count in zip(names, (20, 10), strict=True):
        if suffix:
            np.save(tmp_path / f"{name}{suffix}", some(count, 6, 5))
        else:
            write_folder(tmp_path / name, count)
    assert [len(split) for split in (load_data(tmp_path).train, load_data(tmp_path).test)] == [20, 10]


def test_a_split_given_twice_is_refused(tmp_path):
    write_folder(tmp_path / "train", 2)
    write_folder(tmp_path / "Training", 2)
    with pytest.raises(DataError, match="expected one train split; found Training and train"):
        load_data(tmp_path)


def test_files_and_folders_are_not_mixed(tmp_path):
    write_folder(tmp_path / "train", 2)
    np.save(tmp_path / "test.npy", some(2, 6, 5))
    with pytest.raises(DataError, match=r"all splits as folders or all as files; found train, test\.npy"):
        load_data(tmp_path)


@pytest.mark.parametrize("beside", ["extra/0.png", "0.png"])
def test_images_beside_the_splits_are_refused(tmp_path, beside):
    write_folder(tmp_path / "train", 2)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("no image")
    assert len(load_data(tmp_path).train) == 1
    write_png(tmp_path / beside, some(6, 5))
    expected = f"no images beside its splits; found train and {beside.split('/')[0]}"
    with pytest.raises(DataError, match=expected):
        load_data(tmp_path)


def test_links_are_followed_and_what_is_hidden_is_left_out(tmp_path):
    write_folder(tmp_path / "elsewhere", 3)
    write_folder(tmp_path / "set" / ".thumbnails", 5)
    write_png(tmp_path / "set" / "own" / "0.png", some(6, 5))
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "one.png").symlink_to(tmp_path / "elsewhere" / "000.png")
    assert len(every_image(load_data(tmp_path / "set"))) == 5


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        (
            "1.png",
            lambda path: path.symlink_to("gone.png"),
            "an image file; got a link to gone.png, which",
        ),
        ("1.png", lambda path: path.symlink_to("1.png"), "an image file; got a link to 1.png, which"),
        ("1.png", os.mkfifo, "an image file; got a pipe, socket or device"),
        (
            "loop",
            lambda path: path.symlink_to("."),
            "a folder of images; got a link to a folder",
        ),
        ("Train", lambda path: path.symlink_to("gone"), "a folder; got a link to gone, which leads nowhere"),
        ("test.npz", lambda path: path.symlink_to("gone"), "a file; got a link to gone, which leads nowhere"),
        ("test.npz", os.mkfifo, "a file; got a pipe"),
        ("test.npz", os.mkdir, "a file; got a folder"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, name, make, message):
    write_folder(tmp_path, 3)
    make(tmp_path / name)
    with pytest.raises(DataError, match=f"{tmp_path}/{name}: expected {message}") as caught:
        load_data(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "ppm", "tif"])
def test_a_file_cut_short_anywhere_is_refused(tmp_path, suffix):
    path = tmp_path / f"1.{suffix}"
    write_png(path, some(8, 8, 3))
    write_png(tmp_path / f"0.{suffix}", some(8, 8, 3))
    whole = path.read_bytes()
    assert len(every_image(load_data(tmp_path))) == 2
    end = len(whole) - (4 if suffix == "png" else 0)  # the checksum of a PNG's end mark guards no pixel
    for length in (*range(0, end, 7), *range(end - 24, end)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=f"{path}: "):
            load_data(tmp_path)


def test_a_flipped_bit_of_a_png_is_refused(tmp_path):
    path = tmp_path / "1.png"
    write_png(path, some(6, 5))
    write_png(tmp_path / "0.png", some(6, 5))
    whole = path.read_bytes()
    for bit in range(0, 8 * (len(whole) - 12), 5):  # up to the end mark
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"{path}: "):
            load_data(tmp_path)


def test_several_pictures_in_one_file_are_refused(tmp_path):
    frames = [Image.fromarray(image) for image in some(3, 6, 5)]
    frames[0].save(tmp_path / "0.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"0\.tif: expected one image; got 3 in one file"):
        load_data(tmp_path)


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"expected image files .* found none"):
        load_data(tmp_path)


# --- Paths that are none, and what is held out ----------------------------------------------------


@pytest.mark.parametrize("name", ["set.npz", "no/such", "folder/"])
def test_missing_paths_are_no_unknown_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="found nothing there") as caught:
        load_data(name)
    assert str(tmp_path) in str(caught.value)


def test_other_files_by_suffix(tmp_path):
    (tmp_path / "set.pt").write_bytes(b"")
    with pytest.raises(DataError, match="got another file"):
        load_data(tmp_path / "set.pt")


def test_a_name_goes_before_a_folder(tmp_path, monkeypatch):
    write_folder(tmp_path / "digits", 4)
    monkeypatch.chdir(tmp_path)
    assert load_data("digits").levels == 17
    assert load_data("./digits").image_shape == (1, 6, 5)


@pytest.fixture
def hundred(tmp_path):
    np.savez(tmp_path / "set.npz", train=some(100, 4, 4), test=some(9, 4, 4, seed=1))
    return tmp_path / "set.npz"


@pytest.mark.parametrize(
    ("validation", "count"), [(None, 0), (0, 0), (0.0, 0), (1, 1), (99, 99), (0.25, 25), (1e-9, 1)]
)
def test_validation_is_held_out(hundred, validation, count):
    data = load_data(hundred, validation=validation)
    assert (len(data.validation), len(data.train)) == (count, 100 - count)
    everything = load_data(hundred)
    assert rows(data.train) | rows(data.validation) == rows(everything.train)
    assert torch.equal(data.test, everything.test)


def test_held_out_images_are_drawn_by_the_seed(hundred):
    first, again, other = (load_data(hundred, validation=20, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.validation, again.validation)
    assert rows(first.validation) != rows(other.validation)


def test_test_split_is_held_out_before_validation(tmp_path):
    np.save(tmp_path / "set.npy", some(100, 4, 4))
    tests = [load_data(tmp_path / "set.npy", validation=v).test for v in (None, 5, 0.5)]
    assert torch.equal(tests[0], tests[1])
    assert torch.equal(tests[0], tests[2])
    assert len(tests[0]) == 10
    other = load_data(tmp_path / "set.npy", seed=1).test
    assert rows(other) != rows(tests[0])


@pytest.mark.parametrize("validation", [100, 101, -1, 1.0, 1.5, -0.5, float("nan"), True, "10"])
def test_wrong_validation_is_refused(hundred, validation):
    with pytest.raises(DataError, match="below the 100 that train, or a fraction"):
        load_data(hundred, validation=validation)


def test_second_validation_is_refused(tmp_path):
    np.savez(tmp_path / "set.npz", train=some(9, 4, 4), validation=some(3, 4, 4))
    assert len(load_data(tmp_path / "set.npz").validation) == 3
    with pytest.raises(DataError, match="a validation split of its own, 3 images; got validation"):
        load_data(tmp_path / "set.npz", validation=2)


def test_user_files_are_never_changed(hundred):
    before = hundred.read_bytes()
    load_data(hundred).binarized(0)
    assert hundred.read_bytes() == before
    assert [path.name for path in hundred.parent.iterdir()] == ["set.npz"]
