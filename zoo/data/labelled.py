"""The few labelled images that a semi-supervised model learns from."""

import torch
from torch import Tensor

from zoo.data.image_data import ImageData
from zoo.data.splits import Split
from zoo.errors import DataError
from zoo.seeds import seeded_generator


def labelled_subset(data: ImageData, count: int, *, classes: int, seed: int = 0) -> Split:
    """Training images with their labels, as many of each class, drawn by `seed`.

    Args:
        data: with labels 0 .. classes-1 of its training images.
        count: of images, a multiple of `classes`.
        classes: C.
        seed: any integer.

    Raises:
        DataError: if there are no labels, or others, or not so many; or a count that is no multiple.
    """
    labels = _labels(data, classes)
    if count < classes or count % classes:
        raise DataError(
            f"expected as many labelled images of each of the {classes} classes, {classes}, {2 * classes}, "
            f"...; got {count}"
        )
    each = count // classes
    fewest = int(labels.bincount(minlength=classes).min())
    if each > fewest:
        raise DataError(
            f"{data.name}: expected at most {fewest * classes} labelled images, {fewest} of each class, as "
            f"many as the rarest has; got {count}"
        )
    generator = seeded_generator("labelled", seed)
    order = torch.randperm(len(labels), generator=generator)
    chosen = torch.cat([order[labels[order] == c][:each] for c in range(classes)])
    return Split(data.train, labels).take(chosen)


def _labels(data: ImageData, classes: int) -> Tensor:
    labels = data.train_labels
    if labels is None:
        raise DataError(f"{data.name}: expected labels of the training images; it has none")
    found = int(labels.max()) + 1
    if found != classes or int(labels.min()) < 0:
        raise DataError(
            f"{data.name}: expected labels 0 .. {classes - 1} for a model of {classes} classes; got "
            f"{int(labels.min())} .. {found - 1}: set classes={found}"
        )
    return labels
