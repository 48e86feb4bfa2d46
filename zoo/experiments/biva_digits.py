"""A three-layer BIVA on the embedded digits.

    zoo train biva_digits

Free bits keep the layers in use while the decoder learns; the last third of the run does without: the paper
calls it finetuning (arXiv:1902.02102).

Seed 0, one CPU thread, 261 s: test ELBO -17.00 +- 0.24, log p(x) -15.95 +- 0.22 nats (K = 1000, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.hierarchy import BIVAOptions
from zoo.options.objective import ObjectiveOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="three-layer BIVA, 8x8 digits",
    system=BIVAOptions(latents=(16, 8, 4), strides=(2, 1, 2), kernels=(3, 3, 3), filters=16),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    objective=ObjectiveOptions(free_bits=1.0, free_bits_steps=2240),  # 80 of 120 epochs
    training=TrainingOptions(epochs=120, batch_size=50, learning_rate=5e-3, ema=0.995),
)
