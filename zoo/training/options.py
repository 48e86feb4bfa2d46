"""How a model is trained."""

import math
from dataclasses import dataclass
from typing import Literal

from zoo.settings import require, require_at_least_one
from zoo.training.precision import Precision


@dataclass(frozen=True)
class TrainingOptions:
    """The recipe of a training run.

    Attributes:
        epochs: passes through the training images.
        steps: stop after so many steps instead, where given.
        batch_size: images per step.
        optimizer: Adamax, as in BIVA, Adam or AdamW.
        betas: decay per step of the gradient's mean and of its scale.
        eps: added to the gradient's scale.
        weight_decay: added to the gradient per unit of a parameter; of AdamW, taken off the parameter itself.
        learning_rate: at the first step, or after the warm-up.
        learning_rate_warmup: steps over which the rate rises linearly; its decay begins after them.
        learning_rate_decay: factor per step.
        learning_rate_floor: below which it does not decay.
        cosine: whether the rate falls to its floor along half a cosine over the steps of the run instead.
        clip: largest gradient norm; none for no clipping.
        normalise: whether the gradient of each parameter tensor is divided by its norm, after clipping, as in
            VampPrior's published code (arXiv:1705.07120).
        skip_above: gradient norm from which a step leaves the parameters as they are (before clipping; at
            most 100 steps in a row), for which every step waits for the device; none for no limit.
        accumulate: parts in which a step takes its images, one after another, for memory.
        precision: of the networks in training, float32 or bf16; densities and parameters are always float32.
        ema: decay per step of the averaged parameters, with which a run is evaluated; smaller in the first
            steps; 0 for no average.
        log_every: steps between two points of the curves.
        save_every: steps between two checkpoints; none: at the end of an epoch, at most one in 30 s.
        histograms: whether parameters go to TensorBoard as histograms, an epoch each.
        compile: true, the whole loss is compiled, which takes minutes at the start and where the run is
            resumed; blocks, only the networks that occur several times, each kind once, some 8 s of a CPU
            each. A run with blocks prints what they cost and bring: on a CPU a step takes 0.92 (NVAE) to
            1.15 (a small BIVA) of an eager one, so neither is the default.
        cuda_graph: whether the gradient of a step is captured once and launched as one CUDA graph, on one
            GPU; for small networks, which a GPU computes faster than they are launched.
        parallel: how several processes train together (``torchrun``). ddp: each has all of the state; fsdp:
            its part of parameters, gradients, moments and average, for a model whose training does not fit
            one device. One process trains the same with either, and either resumes the other.
        channels_last: whether maps are laid out with the channels of a pixel side by side, here and where the
            run is evaluated. On an Intel CPU a step takes 0.66 (NVAE) to 0.98 (PixelCNN) of one without.
        patience: epochs without a higher validation ELBO after which the run ends; none for no early end.
        choose: which parameters a run is evaluated with: its last, or those of the epoch with the best
            validation ELBO. (BIVA's published codes chose the epoch by the test set, which flatters it.)
    """

    epochs: int = 100
    steps: int | None = None
    batch_size: int = 100
    optimizer: Literal["adamax", "adam", "adamw"] = "adamax"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    learning_rate: float = 2e-3
    learning_rate_warmup: int = 0
    learning_rate_decay: float = 1.0
    learning_rate_floor: float = 0.0
    cosine: bool = False
    clip: float | None = None
    normalise: bool = False
    skip_above: float | None = None
    accumulate: int = 1
    precision: Precision = "float32"
    ema: float = 0.0
    log_every: int = 50
    save_every: int | None = None
    histograms: bool = False
    compile: Literal[False, True, "blocks"] = False
    cuda_graph: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    channels_last: bool = False
    patience: int | None = None
    choose: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        counts = ("epochs", "steps", "batch_size", "accumulate", "patience", "log_every", "save_every")
        require_at_least_one(**{name: getattr(self, name) for name in counts})
        betas = self.betas
        require(len(betas) == 2 and all(0 <= b < 1 for b in betas), "two betas, 0 <= beta < 1", betas)
        require(self.eps >= 0, "eps >= 0", self.eps)
        require(self.weight_decay >= 0, "weight_decay >= 0", self.weight_decay)
        require(self.learning_rate_warmup >= 0, "learning_rate_warmup >= 0 steps", self.learning_rate_warmup)
        rate = self.learning_rate
        require(math.isfinite(rate) and rate > 0, "learning_rate > 0", rate)
        floor = self.learning_rate_floor
        require(0 <= floor <= rate, "0 <= learning_rate_floor <= learning_rate", floor)
        require(self.clip is None or self.clip > 0, "clip > 0, or none", self.clip)
        skip = self.skip_above
        require(skip is None or skip > 0, "skip_above > 0, or none", skip)
        require(0 <= self.ema < 1, "0 <= ema < 1", self.ema)
        decay = self.learning_rate_decay
        require(0 < decay <= 1, "0 < learning_rate_decay <= 1", decay)
        require(decay == 1 or not self.cosine, "cosine or learning_rate_decay", "both: leave one out")
