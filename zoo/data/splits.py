"""What a source hands over, and how the splits that it lacks are held out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from zoo.data.arrays import to_labels, to_nchw, to_uint8
from zoo.data.image_data import ImageData, Split
from zoo.errors import DataError
from zoo.seeds import seeded_generator

# What splits are called in the wild, in lower case.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
MOST_HELD_OUT = 10_000  # images; a tenth of a large set would be more than a test needs


@dataclass(frozen=True, eq=False)
class Source:
    """A set as its files give it.

    Attributes:
        splits: by name: "train" always, "validation" and "test" where the source has them.
        levels: number of values a sub-pixel can take.
        usual_validation: how many of the last training images are by convention for validation.
    """

    splits: Mapping[str, Split]
    levels: int = 256
    usual_validation: int = 0


def source_from_arrays(
    images: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    where: str,
    levels: int | None = None,
) -> Source:
    """A source from arrays as users keep them; see `zoo.data.arrays` for what is taken how.

    Args:
        images: image arrays by split.
        labels: label arrays by split; may lack some or all.
        where: the file, for messages.
        levels: number of levels, or None to infer it from the values.

    Raises:
        DataError: no training images, or arrays that do not hold images or labels.
    """
    if "train" not in images:
        raise DataError(f"{where}: expected training images; found only {', '.join(images)}")
    shaped = {split: to_nchw(array, f"{where}, {split}") for split, array in images.items()}
    quantised, levels = to_uint8(shaped, where, levels)
    splits = {}
    for split, array in quantised.items():
        given = labels.get(split)
        own = None if given is None else to_labels(given, len(array), f"{where}, {split}")
        splits[split] = Split(torch.from_numpy(array), own)
    return Source(splits, levels)


def split_up(name: str, source: Source, validation: int | float | None = None, seed: int = 0) -> ImageData:
    """Hold out the splits that `source` lacks; see `load_data` for the rules."""
    train, test = source.splits["train"], source.splits.get("test")
    if test is None:
        # Before validation, and by its own seed: the test set is the same for every `validation`.
        train, test = _hold_out_test(name, train, seed)
    train, valid = _validation(name, train, source, validation, seed)
    return ImageData(
        name=name,
        train=train.images,
        validation=valid.images,
        test=test.images,
        levels=source.levels,
        train_labels=train.labels,
        validation_labels=valid.labels,
        test_labels=test.labels,
    )


def _hold_out_test(name: str, train: Split, seed: int) -> tuple[Split, Split]:
    if len(train) < 2:
        raise DataError(
            f"{name}: expected a test split, or at least 2 images to hold one out of; got {len(train)}"
        )
    count = min(max(1, len(train) // 10), MOST_HELD_OUT)
    return _draw(train, count, "test", seed)


def _validation(
    name: str, train: Split, source: Source, validation: int | float | None, seed: int
) -> tuple[Split, Split]:
    own = source.splits.get("validation")
    if own is not None:
        _refuse_second_validation(name, own, validation)
        return train, own
    if validation is None:
        count = len(train) - source.usual_validation
        return train.take(slice(count)), train.take(slice(count, None))
    return _draw(train, _count(name, validation, len(train)), "validation", seed)


def _refuse_second_validation(name: str, own: Split, validation: int | float | None) -> None:
    if validation is not None:
        raise DataError(
            f"{name}: has a validation split of its own, {len(own)} images; "
            f"got validation={validation}: leave it out"
        )


def _count(name: str, validation: int | float, available: int) -> int:
    """The number of images that `validation`, a number or a fraction, stands for."""
    if isinstance(validation, float) and 0.0 <= validation < 1.0:
        count = max(1, round(validation * available)) if validation else 0
    elif isinstance(validation, int) and not isinstance(validation, bool):
        count = validation
    else:
        count = -1
    if not 0 <= count < available:
        raise DataError(
            f"{name}: expected validation to be a number of images below the {available} that "
            f"train, or a fraction in [0, 1); got {validation!r}"
        )
    return count


def _draw(split: Split, count: int, purpose: str, seed: int) -> tuple[Split, Split]:
    """Draw `count` images at random; what stays and what was drawn both keep their order."""
    generator = seeded_generator("held out", purpose, seed)
    chosen = torch.zeros(len(split), dtype=torch.bool)
    chosen[torch.randperm(len(split), generator=generator)[:count]] = True
    return split.take(~chosen), split.take(chosen)
