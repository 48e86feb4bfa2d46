"""What a model is trained on."""

from dataclasses import dataclass
from typing import Literal

from zoo.settings import require


@dataclass(frozen=True)
class DataOptions:
    """A data set and what is done to it.

    Attributes:
        data: name of a data set, or the path of a folder of images, a .npz or a .npy.
        binarize: dynamic: each pixel is drawn anew from its grey level whenever an image is shown (test
            images once, from a fixed seed); static: all images once, from a fixed seed; threshold: on from
            half the highest level; none: grey levels.
        binarize_seed: of what is drawn once.
        validation: images held out of the training set; none: the data set's own convention.
    """

    data: str = "digits"
    binarize: Literal["dynamic", "static", "threshold", "none"] = "dynamic"
    binarize_seed: int = 0
    validation: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        require(self.validation is None or self.validation >= 0, "validation >= 0", self.validation)
