"""What experiments on hierarchies of latent variables have in common."""

from typing import Any

from zoo.options.likelihood import LikelihoodOptions
from zoo.options.objective import ObjectiveOptions
from zoo.training.options import TrainingOptions

# arXiv:1902.02102: free bits throughout, finetuned without them afterwards (`zoo finetune`)
PAPER_OBJECTIVE = ObjectiveOptions(free_bits=2.0)
PAPER_TRAINING = TrainingOptions(
    epochs=500,
    batch_size=48,
    optimizer="adamax",
    learning_rate=2e-3,
    learning_rate_decay=0.999999,
    learning_rate_floor=1e-4,
    ema=0.9995,
    choose="best",
)

COLOURS = LikelihoodOptions(likelihood="logistic_mixture", components=10)

# the layout of arXiv:1902.02102 for 32x32 colour images, fifteen layers
PAPER_CIFAR10: dict[str, Any] = {
    "latents": tuple(range(38, 8, -2)),
    "strides": (2, *[1] * 9, 2, *[1] * 3, 2),
    "kernels": (5, *[3] * 14),
    "blocks": (3,),
    "spatial": (True,),
    "head_kernel": 0,
    "filters": 96,
    "dropout_q": 0.2,
    "weight_norm": True,
    "likelihood_options": COLOURS,
}

# three layers for a CPU core, the same for every model that is compared
SMALL_MNIST: dict[str, Any] = {"latents": (16, 8, 4), "strides": (2, 2, 1), "blocks": (2,), "filters": 12}
SMALL_OBJECTIVE = ObjectiveOptions(free_bits=1.0, free_bits_steps=700)
SMALL_TRAINING = TrainingOptions(steps=1000, batch_size=50, learning_rate=5e-3, ema=0.995)
