"""Glow on the embedded digits, 17 grey levels.

    zoo train glow_digits

The validation ELBO is nearly flat at the end.

Seed 0, one thread of a busy CPU, 471 s: test ELBO -92.48 +- 0.71 nats, 1.990 +- 0.015 bits/dim (K = 20, 297
images); 17 levels at random cost 4.09.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import GlowOptions
from zoo.options.training import TrainingOptions

EXPERIMENT = Experiment(
    summary="Glow, 8x8 digits of 17 grey levels",
    system=GlowOptions(levels=17, steps=6, hidden=(48, 48)),
    data=DataOptions(data="digits", binarize="none"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=30, batch_size=50, learning_rate=1e-2, ema=0.995),
)
