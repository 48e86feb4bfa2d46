from dataclasses import replace

import pytest
import torch

from zoo.data import ImageData
from zoo.errors import DataError


def images(count, value=None, shape=(1, 4, 4)):
    if value is not None:
        return torch.full((count, *shape), value, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(count)
    return torch.randint(256, (count, *shape), dtype=torch.uint8, generator=generator)


def some_data(count=10, **changes):
    parts = {"train": images(count), "validation": images(0), "test": images(5)}
    return ImageData("some", **{**parts, **changes})


def test_image_shape():
    shape = (3, 5, 6)
    data = ImageData("x", images(4, shape=shape), images(0, shape=shape), images(2, shape=shape))
    assert data.image_shape == shape
    assert "train=4" in repr(data)


def test_static_binarisation_is_a_function_of_its_seed():
    data = some_data()
    first, again, other = data.binarized(3), data.binarized(3), data.binarized(4)
    for split in ("train", "validation", "test"):
        assert torch.equal(getattr(first, split), getattr(again, split))
    assert not torch.equal(first.train, other.train)
    assert first.name != other.name != data.name
    assert first.levels == 2
    assert set(first.train.unique().tolist()) == {0, 1}


@pytest.mark.parametrize("count", [1, 4097])
def test_static_test_noise_ignores_the_training_images(count):
    assert torch.equal(some_data().binarized(0).test, some_data(count).binarized(0).test)


def test_static_noise_differs_by_split_and_image():
    same = images(6, 128, (1, 8, 8))
    data = ImageData("same", same, same, same).binarized(0)
    everything = torch.cat([data.train, data.validation, data.test]).flatten(1)
    assert len(everything.unique(dim=0)) == 18


@pytest.mark.parametrize("k", [0, 1, 8, 15, 16])
def test_static_frequency_is_the_grey_level(k):
    grey = images(5000, k, (1, 2, 2))  # more than one chunk
    data = ImageData("grey", grey, grey[:0], grey[:0], levels=17).binarized(0)
    p, draws = k / 16, grey.numel()
    assert abs(data.train.float().mean().item() - p) <= 5 * (p * (1 - p) / draws) ** 0.5


def test_labels_survive_binarisation():
    labels = torch.arange(10)
    data = some_data(train_labels=labels).binarized(0)
    assert torch.equal(data.train_labels, labels)


def test_two_levels_are_left_alone():
    data = some_data().binarized(0)
    assert data.binarized(1) is data


def changed(tensor):
    tensor = tensor.clone()
    tensor.view(-1)[-1] ^= 1
    return tensor


OTHERS = {
    "a training pixel": lambda d: {"train": changed(d.train)},
    "a test pixel": lambda d: {"test": changed(d.test)},
    "a label": lambda d: {"train_labels": changed(d.train_labels)},
    "no labels": lambda d: {"train_labels": None},
    "the levels": lambda d: {"levels": 255},
    "the order": lambda d: {"train": d.train.flip(0)},
    "the shape": lambda d: {s: getattr(d, s).view(-1, 1, 2, 8) for s in ("train", "validation", "test")},
    "a split": lambda d: {"test": d.test[:-1], "validation": d.test[-1:]},
}


@pytest.mark.parametrize("change", OTHERS)
def test_other_data_have_another_fingerprint(change):
    data = some_data(train_labels=torch.arange(10))
    data = replace(data, **{s: getattr(data, s) // 2 for s in ("train", "test")})
    other = replace(data, **OTHERS[change](data))
    assert other.fingerprint != data.fingerprint
    with pytest.raises(DataError, match=f"some: expected the images .* {data.fingerprint[:12]}; got others"):
        other.require_fingerprint(data.fingerprint)


def test_a_fingerprint_is_of_the_values_only():
    data = some_data()
    layout = data.train.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    same = replace(data, name="other", train=layout)
    assert same.fingerprint == data.fingerprint
    same.require_fingerprint(data.fingerprint)
    constant = ImageData("x", *(torch.full((n, 1, 2, 2), 7, dtype=torch.uint8) for n in (3, 0, 2)))
    assert constant.fingerprint == "0bb0704331a650e9a1fb157e9b40663d"  # what is stored stays valid


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": torch.rand(3, 1, 4, 4)}, "expected uint8 .* got torch.float32"),
        ({"test": images(3)[:, 0]}, r"some, test: .* got torch.uint8 \(3, 4, 4\)"),
        ({"test": images(3, shape=(3, 4, 4))}, r"some, test: .* \(1, 4, 4\); got \(3, 4, 4\)"),
        ({"train": images(3, 17), "levels": 17}, "expected values 0 .. 16 .* got 17"),
        ({"levels": 1}, "levels from 2 to 256; got 1"),
        ({"train": images(0)}, "train split is empty"),
        ({"test_labels": torch.arange(4)}, r"some, test: .* shape \(5,\); got .*\(4,\)"),
        ({"test_labels": torch.zeros(5)}, "int64 labels .* got torch.float32"),
    ],
)
def test_wrong_parts_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        some_data(**changes)
