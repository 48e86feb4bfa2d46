"""Glow on the embedded digits, 17 grey levels.

    zoo train glow_digits

Not trained to the end.

Seed 0, one CPU thread, 132 s: test ELBO -92.01 +- 0.64, log p(x) -88.45 +- 0.62 nats (K = 20, 297 images),
1.994 +- 0.014 bits/dim, of 4.09 for uniform pixels.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import GlowOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Glow, 8x8 digits of 17 grey levels",
    system=GlowOptions(levels=17, steps=6, hidden=(48, 48)),
    data=DataOptions(data="digits", binarize="none"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=30, batch_size=50, learning_rate=1e-2, ema=0.995),
)
