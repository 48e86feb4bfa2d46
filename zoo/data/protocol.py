"""What a result was measured on: which images, how they became binary, what was held out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from zoo.conversion import Natural
from zoo.data.encodings import Encoding
from zoo.data.image_data import SPLITS, ImageData
from zoo.data.loading import load_data, resolved_name
from zoo.errors import DataError, UsageError
from zoo.seeds import seeded_generator
from zoo.settings import require

Binarisation = Literal["dynamic", "static", "threshold", "none"]


@dataclass(frozen=True)
class Protocol:
    """A data set and what is done to it. Log-likelihoods compare only within one protocol.

    Args:
        data: name of a data set, or the path of a folder of images, a .npz or a .npy.
        binarize: dynamic: each pixel is drawn from its grey level whenever an image is shown in training,
            validation and test images once by `binarize_seed`; static: all images once by `binarize_seed`;
            threshold: on from half the highest level; none: grey levels. Images whose files have two
            levels are left as they are.
        binarize_seed: of what is drawn once. With binarize=dynamic, none: held-out images are drawn anew in
            every evaluation, by its seed.
        validation: images held out of the training set; none: the data set's own convention.

    Raises:
        UsageError: naming the option that is out of range.
    """

    data: str = "digits"
    binarize: Binarisation = "dynamic"
    binarize_seed: int | None = 0
    validation: Natural | None = None

    def __post_init__(self) -> None:
        choices = get_args(Binarisation)
        require(self.binarize in choices, f"binarize to be one of {', '.join(choices)}", self.binarize)
        require(self.validation is None or self.validation >= 0, "validation >= 0", self.validation)
        if self.binarize_seed is None and self.binarize != "dynamic":
            raise UsageError(f"binarize_seed=none is for binarize=dynamic; got binarize={self.binarize}")

    def load(self, *, data_root: str | Path | None = None, download: bool = False) -> ImageData:
        """The images; binary already where that is not done at every look.

        Raises:
            DataError: if they are missing or unreadable.
        """
        data = load_data(self.data, data_root=data_root, download=download, validation=self.validation)
        return self._prepared(data)

    def load_beside(
        self, own: ImageData, name: str, *, data_root: str | Path | None = None, download: bool = False
    ) -> ImageData:
        """The images of another set, under this protocol.

        Raises:
            DataError: if they are missing or unreadable, or not of the shape and levels of `own`.
        """
        data = self._prepared(load_data(name, data_root=data_root, download=download, validation=0))
        if data.image_shape != own.image_shape or self.levels(data) != self.levels(own):
            raise DataError(
                f"expected images of shape {own.image_shape} and {own.levels} levels, as {own.name} has; "
                f"got {data.image_shape} and {data.levels} from {name}"
            )
        return data

    def levels(self, images: ImageData) -> int:
        """Number of values a sub-pixel takes when a model sees it."""
        return images.levels if self.binarize == "none" else 2

    def held_out(self, images: ImageData, split: str, encoding: Encoding, *, seed: int = 0) -> Tensor:
        """Float images (N, C, H, W) of a split as an evaluation sees them.

        Args:
            images: what `load` returned.
            split: "validation" or "test"; "train" gives training images drawn in the same way.
            encoding: of the model's likelihood.
            seed: of the evaluation; matters only where held-out images are drawn anew in each.
        """
        chosen, levels = images.split(split), images.levels
        if self.binarize == "dynamic":
            by = ("anew", seed) if self.binarize_seed is None else (self.binarize_seed,)
            chosen, levels = images.binarized_split(split, *by), 2
        return encoding(chosen, levels, seeded_generator("held out", split, seed, device=chosen.device))

    def describe(self, images: ImageData) -> str:
        """One line for reports: the set, its splits and how it became binary.

        >>> protocol = Protocol("digits")
        >>> print(protocol.describe(protocol.load()))
        digits (1400 train, 100 validation, 297 test), dynamic binarisation, held-out images once by seed 0
        """
        sizes = ", ".join(f"{len(images.split(name))} {name}" for name in SPLITS)
        return f"{resolved_name(self.data)} ({sizes}), {self._treatment(images)}"

    def _prepared(self, data: ImageData) -> ImageData:
        if self.binarize == "static" and self.binarize_seed is not None:
            return data.binarized(self.binarize_seed)
        return data.thresholded() if self.binarize == "threshold" else data

    def _treatment(self, images: ImageData) -> str:
        if images.binarized_by:
            return images.binarized_by
        if images.levels == 2:
            return "binary in its files"
        if self.binarize == "none":
            return f"{images.levels} levels"
        seed = self.binarize_seed
        once = "anew in every evaluation" if seed is None else f"once by seed {seed}"
        return f"dynamic binarisation, held-out images {once}"
