"""How a model is trained."""

import math
from dataclasses import dataclass
from typing import Literal

from zoo.settings import require


@dataclass(frozen=True)
class TrainingOptions:
    """The recipe of a training run.

    Attributes:
        epochs: passes through the training images.
        steps: stop after so many steps instead, where given.
        batch_size: images per step.
        optimizer: Adamax, as in BIVA, or Adam.
        learning_rate: at the first step.
        learning_rate_decay: factor per step.
        learning_rate_floor: below which it does not decay.
        clip: largest gradient norm; none for no clipping.
        ema: decay per step of the averaged parameters, with which a run is evaluated; smaller in the first
            steps; 0 for no average.
        log_every: steps between two points of the curves.
        save_every: steps between two checkpoints; none: at the end of an epoch, at most one in 30 s.
        histograms: whether parameters go to TensorBoard as histograms, an epoch each.
        compile: whether the whole loss is compiled (minutes at the start and where the run is resumed, then
            faster steps).
        choose: which parameters a run is evaluated with: its last, or those of the epoch with the best
            validation ELBO. (BIVA's published codes chose the epoch by the test set, which flatters it.)
    """

    epochs: int = 100
    steps: int | None = None
    batch_size: int = 100
    optimizer: Literal["adamax", "adam"] = "adamax"
    learning_rate: float = 2e-3
    learning_rate_decay: float = 1.0
    learning_rate_floor: float = 0.0
    clip: float | None = None
    ema: float = 0.0
    log_every: int = 50
    save_every: int | None = None
    histograms: bool = False
    compile: bool = False
    choose: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        for name in ("epochs", "steps", "batch_size", "log_every", "save_every"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} >= 1", value)
        rate = self.learning_rate
        require(math.isfinite(rate) and rate > 0, "learning_rate > 0", rate)
        floor = self.learning_rate_floor
        require(0 <= floor <= rate, "0 <= learning_rate_floor <= learning_rate", floor)
        require(self.clip is None or self.clip > 0, "clip > 0, or none", self.clip)
        require(0 <= self.ema < 1, "0 <= ema < 1", self.ema)
        decay = self.learning_rate_decay
        require(0 < decay <= 1, "0 < learning_rate_decay <= 1", decay)
