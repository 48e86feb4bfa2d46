"""`ImageData.labelled` as a function."""

from zoo.data.image_data import ImageData, Split


def labelled_subset(data: ImageData, count: int, *, classes: int, seed: int = 0) -> Split:
    """See `ImageData.labelled`."""
    return data.labelled(count, classes=classes, seed=seed)
