"""A data set of images as three blocks of bytes."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from zoo.data.encodings import bernoulli_pixels
from zoo.data.fingerprints import fingerprint
from zoo.errors import DataError, UsageError
from zoo.seeds import seeded_generator

SPLITS = ("train", "validation", "test")
_CHUNK = 4096  # images binarised at once: bounds the memory that the noise takes


@dataclass(frozen=True, eq=False)
class Split:
    """Images uint8 (N, C, H, W) and, where there are any, labels int64 (N,)."""

    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: Tensor | slice) -> "Split":
        """The images that `index` picks, with their labels."""
        return Split(self.images[index], None if self.labels is None else self.labels[index])


@dataclass(frozen=True, eq=False, repr=False)
class ImageData:
    """Images of one shape in three splits.

    N counts a split's images, C is 1 (grey) or 3 (RGB), H and W are in pixels.

    Attributes:
        name: what to call the set in logs and run folders.
        train: uint8 (N, C, H, W), values 0 .. levels-1, at least one image.
        validation: as `train`; may have no images.
        test: as `train`; may have no images.
        levels: number of values a sub-pixel can take, 2 .. 256.
        train_labels: int64 (N,), or None where the source has no labels.
        validation_labels: as `train_labels`.
        test_labels: as `train_labels`.
        binarized_by: how a set of more levels became one of two, in words; empty where nothing was done.

    Raises:
        DataError: a split of another type, shape or range, or labels that do not match it.
    """

    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    levels: int = 256
    train_labels: Tensor | None = None
    validation_labels: Tensor | None = None
    test_labels: Tensor | None = None
    binarized_by: str = ""

    def __post_init__(self) -> None:
        if not 2 <= self.levels <= 256:
            raise DataError(f"{self.name}: expected levels from 2 to 256; got {self.levels}")
        for split in SPLITS:
            self._check_images(split)
            self._check_labels(split)
        if not len(self.train):
            raise DataError(f"{self.name}: expected training images; the train split is empty")

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split}={len(getattr(self, split))}" for split in SPLITS)
        return f"ImageData({self.name!r}, {sizes}, shape={self.image_shape}, levels={self.levels})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        _, c, h, w = self.train.shape
        return c, h, w

    @cached_property
    def fingerprint(self) -> str:
        """Of levels, images and labels of all splits; the name does not count. CIFAR-10 takes 0.3 s."""
        labels = (getattr(self, f"{split}_labels") for split in SPLITS)
        return fingerprint(self.levels, *map(self.split, SPLITS), *labels)

    def require_fingerprint(self, expected: str) -> None:
        """Check that these are the images that a run has seen.

        Raises:
            DataError: if they are others.
        """
        if self.fingerprint != expected:
            raise DataError(
                f"{self.name}: expected the images that the run was trained on, of fingerprint "
                f"{expected[:12]}; got others, {self.fingerprint[:12]}: restore them, or train again"
            )

    def labelled(self, count: int, *, classes: int, seed: int = 0) -> Split:
        """Training images with their labels, as many of each class, drawn by `seed`.

        Fewer are a part of more: with the same seed, 20 labelled images are among 50.

        Args:
            count: of images, a multiple of `classes`.
            classes: C; the labels are 0 .. C-1.
            seed: any integer.

        Raises:
            DataError: if there are no labels, or others, or not so many; or a count that is no multiple.
        """
        labels = self._labels_of(classes)
        if count < classes or count % classes:
            raise DataError(
                f"expected as many labelled images of each of the {classes} classes, "
                f"{classes}, {2 * classes}, ...; got {count}"
            )
        each, fewest = count // classes, int(labels.bincount(minlength=classes).min())
        if each > fewest:
            raise DataError(
                f"{self.name}: expected at most {fewest * classes} labelled images, {fewest} of each "
                f"class, as many as the rarest has; got {count}"
            )
        order = torch.randperm(len(labels), generator=seeded_generator("labelled", seed))
        chosen = torch.cat([order[labels[order] == c][:each] for c in range(classes)])
        return Split(self.train, labels).take(chosen)

    def split(self, name: str) -> Tensor:
        """The images of "train", "validation" or "test".

        Raises:
            UsageError: for another name.
        """
        if name not in SPLITS:
            raise UsageError(f"expected a split, one of {', '.join(SPLITS)}; got {name!r}")
        images: Tensor = getattr(self, name)
        return images

    def binarized(self, seed: int) -> "ImageData":
        """The set with every sub-pixel drawn once from Bernoulli(k / (levels-1)): two levels.

        Each split has its own noise, a function of `seed` and the split's images only: how many
        images train does not change the test set. A set of two levels is returned as it is.

        Args:
            seed: any integer; bounds on the likelihood compare only at one seed.
        """
        if self.levels == 2:
            return self
        splits = {split: self.binarized_split(split, seed) for split in SPLITS}
        by = f"static binarisation, drawn once by seed {seed}"
        return replace(self, name=f"{self.name}-binarized{seed}", levels=2, binarized_by=by, **splits)

    def thresholded(self) -> "ImageData":
        """The set with every sub-pixel on from half the highest level: two levels, nothing random.

        >>> from zoo.data import load_data
        >>> digits = load_data("digits").thresholded()
        >>> digits.levels, sorted(digits.test.unique().tolist())
        (2, [0, 1])
        """
        if self.levels == 2:
            return self
        splits = {s: (2 * getattr(self, s).int() >= self.levels - 1).byte() for s in SPLITS}
        by = "thresholded at half the highest level"
        return replace(self, name=f"{self.name}-thresholded", levels=2, binarized_by=by, **splits)

    def binarized_split(self, split: str, *seed: int | str) -> Tensor:
        """The images of one split as `binarized` draws them."""
        images = self.split(split)
        if self.levels == 2:
            return images
        generator = seeded_generator("binarized", *seed, split, device=images.device)
        binary = torch.empty_like(images)
        for start in range(0, len(images), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            binary[chunk] = bernoulli_pixels(images[chunk], self.levels, generator)
        return binary

    def _check_images(self, split: str) -> None:
        images, here = getattr(self, split), f"{self.name}, {split}"
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise DataError(
                f"{here}: expected uint8 images of shape (N, C, H, W); "
                f"got {images.dtype} {tuple(images.shape)}"
            )
        if images.shape[1:] != self.train.shape[1:]:
            raise DataError(
                f"{here}: expected images of the training images' shape "
                f"{tuple(self.train.shape[1:])}; got {tuple(images.shape[1:])}"
            )
        if images.numel() and int(images.max()) >= self.levels:
            raise DataError(
                f"{here}: expected values 0 .. {self.levels - 1} for levels={self.levels}; "
                f"got {int(images.max())}"
            )

    def _check_labels(self, split: str) -> None:
        labels, count = getattr(self, f"{split}_labels"), len(getattr(self, split))
        if labels is None:
            return
        if labels.dtype != torch.int64 or labels.shape != (count,):
            raise DataError(
                f"{self.name}, {split}: expected int64 labels of shape ({count},); "
                f"got {labels.dtype} {tuple(labels.shape)}"
            )

    def _labels_of(self, classes: int) -> Tensor:
        labels = self.train_labels
        if labels is None:
            raise DataError(f"{self.name}: expected labels of the training images; it has none")
        found = int(labels.max()) + 1
        if found != classes or int(labels.min()) < 0:
            raise DataError(
                f"{self.name}: expected labels 0 .. {classes - 1} for a model of {classes} classes; got "
                f"{int(labels.min())} .. {found - 1}: set classes={found}"
            )
        for split in ("validation", "test"):  # found now, not when the trained model is evaluated
            held_out = getattr(self, f"{split}_labels")
            if held_out is not None and ((held_out < 0) | (held_out >= classes)).any():
                raise DataError(
                    f"{self.name}: expected labels 0 .. {classes - 1} of the {split} images; got "
                    f"{int(held_out.min())} .. {int(held_out.max())}"
                )
        return labels
