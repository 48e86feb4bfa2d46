from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as sklearn_digits

from zoo.data import load_data
from zoo.data.digits import fixed_order


def parts(data):
    images = torch.cat([data.train, data.validation, data.test])
    labels = torch.cat([data.train_labels, data.validation_labels, data.test_labels])
    return images, labels


def test_digits_are_sklearns():
    bunch = sklearn_digits()
    images, labels = parts(load_data("digits"))
    order = fixed_order(len(bunch.images))
    assert np.array_equal(images[:, 0].numpy(), bunch.images[order])
    assert np.array_equal(labels.numpy(), bunch.target[order])


def test_sizes_and_levels():
    data = load_data("digits")
    assert [len(data.train), len(data.validation), len(data.test)] == [1400, 100, 297]
    assert (data.image_shape, data.levels) == ((1, 8, 8), 17)
    assert int(data.train.max()) == 16


@pytest.mark.parametrize("options", [{"seed": 5}, {"validation": 0}, {"validation": 0.5}])
def test_test_images_never_change(options):
    assert torch.equal(load_data("digits", **options).test, load_data("digits").test)


def test_test_images_are_of_all_classes():
    counts = Counter(load_data("digits").test_labels.tolist())
    assert sorted(counts) == list(range(10))
    assert min(counts.values()) >= 15


def test_order_is_a_permutation_for_ever():
    order = fixed_order(1797)
    assert sorted(order) == list(range(1797))
    assert order[:5] == [647, 555, 264, 807, 1282]
