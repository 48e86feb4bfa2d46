"""The optimisers and learning rates of training, made from a run's options."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn

from zoo.infer.schedules import CosineDecay, GeometricDecay, linear_warmup
from zoo.training.options import TrainingOptions

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamax": partial(torch.optim.Adamax, foreach=True),  # a loop over parameters takes twice as long
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
}


def optimizer(parameters: Iterable[nn.Parameter], options: TrainingOptions) -> torch.optim.Optimizer:
    """The optimiser that the options name."""
    return OPTIMIZERS[options.optimizer](
        parameters,
        lr=options.learning_rate,
        betas=options.betas,
        eps=options.eps,
        weight_decay=options.weight_decay,
    )


def learning_rate(options: TrainingOptions, step: int, total_steps: int) -> float:
    """The rate at a step, 0 the first, of a run of `total_steps`: a warm-up, and after it a decay."""
    warmup = options.learning_rate_warmup
    first, floor = options.learning_rate, options.learning_rate_floor
    decay: Callable[[int], float] = GeometricDecay(first, options.learning_rate_decay, floor)
    if options.cosine:
        decay = CosineDecay(first, total_steps - warmup, floor)
    return linear_warmup(step, warmup) * decay(max(0, step - warmup))
