"""The labelled subset of a data set."""

import re
from dataclasses import replace

import pytest
import torch

from zoo.data import load_data
from zoo.errors import DataError


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


@pytest.mark.parametrize("count", [10, 50, 1000])
def test_every_class_has_as_many_images(digits, count):
    chosen = digits.labelled(count, classes=10)
    assert chosen.images.shape == (count, 1, 8, 8)
    assert chosen.labels.bincount().tolist() == [count // 10] * 10


def test_the_images_are_training_images_with_their_own_labels(digits):
    chosen = digits.labelled(100, classes=10, seed=3)
    same = (chosen.images[:, None] == digits.train[None]).flatten(2).all(2)
    assert same.any(1).all()
    found = same.float().argmax(1)
    assert torch.equal(digits.train_labels[found], chosen.labels)
    assert same.float().argmax(1).unique().numel() == 100


def test_the_seed_draws_them(digits):
    one, same, other = (digits.labelled(50, classes=10, seed=s).images for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_fewer_labels_are_a_part_of_more(digits):
    few, more = (digits.labelled(n, classes=10).images for n in (20, 50))
    assert torch.equal(few, more.view(10, 5, 1, 8, 8)[:, :2].flatten(0, 1))


def test_the_labelled_images_do_not_depend_on_the_binarisation(digits):
    grey, binary = (d.labelled(50, classes=10) for d in (digits, digits.thresholded()))
    assert torch.equal(grey.labels, binary.labels)
    assert torch.equal((2 * grey.images.int() >= 16).byte(), binary.images)


@pytest.mark.parametrize("count", [5, 55, 0])
def test_a_count_that_is_no_multiple_is_refused(digits, count):
    with pytest.raises(DataError, match=rf"each of the 10 classes, 10, 20, ...; got {count}"):
        digits.labelled(count, classes=10)


def test_more_labels_than_there_are_is_refused(digits):
    fewest = int(digits.train_labels.bincount().min())
    with pytest.raises(DataError, match=rf"at most {fewest * 10} labelled images.*; got 5000"):
        digits.labelled(5000, classes=10)
    assert len(digits.labelled(fewest * 10, classes=10)) == fewest * 10


def test_images_without_labels_are_refused(digits):
    with pytest.raises(DataError, match="digits: expected labels of the training images; it has none"):
        replace(digits, train_labels=None).labelled(10, classes=10)


def test_other_labels_are_refused(digits):
    with pytest.raises(
        DataError, match=re.escape("labels 0 .. 6 for a model of 7 classes; got 0 .. 9: set classes=10")
    ):
        digits.labelled(14, classes=7)
    with pytest.raises(DataError, match=re.escape("got -1 .. 8")):
        replace(digits, train_labels=digits.train_labels - 1).labelled(10, classes=10)


def test_a_class_without_images_is_refused(digits):
    without = digits.train_labels.where(digits.train_labels != 3, 4)
    with pytest.raises(DataError, match="at most 0 labelled images, 0 of each class"):
        replace(digits, train_labels=without).labelled(10, classes=10)
