"""The digits that come with the package, for tests and first steps without a network.

1,797 handwritten digits, 8x8, values 0 .. 16: the test part of E. Alpaydin and C. Kaynak, "Optical
Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998, doi:10.24432/C50P49,
licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/); the values are unchanged.
Each is the number of inked pixels in a 4x4 block of a 32x32 scan.
"""

from importlib.resources import files

import numpy as np
import torch

from zoo.data.image_data import Split
from zoo.data.splits import Source
from zoo.seeds import mixed_seed

LEVELS = 17
TEST, VALIDATION = 297, 100  # leaves 1,400 to train


def load_digits() -> Source:
    """The digits in a fixed order, the last 297 for the test; the same for everybody, always."""
    resource = files("zoo.data").joinpath("digits.npz")
    with resource.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        images = torch.from_numpy(arrays["images"])[:, None]
        labels = torch.from_numpy(arrays["labels"]).long()
    everything = Split(images, labels).take(torch.tensor(fixed_order(len(images))))
    splits = {"train": everything.take(slice(-TEST)), "test": everything.take(slice(-TEST, None))}
    return Source(splits, LEVELS, VALIDATION)


def fixed_order(count: int) -> list[int]:
    """A permutation of 0 .. count-1: the numbers sorted by a hash.

    The file is in the order of the writers, so its end would be a biased test. No generator of
    random numbers is asked, since theirs may change from one release to another.
    """
    return sorted(range(count), key=lambda index: mixed_seed("digits", index))
