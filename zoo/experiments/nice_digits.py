"""NICE on the embedded digits, 17 grey levels.

    zoo train nice_digits

Longer runs overfit.

Seed 0, one CPU thread, 98 s: test ELBO -100.88 +- 0.78, log p(x) -96.27 +- 0.75 nats (K = 100, 297 images),
2.170 +- 0.017 bits/dim, of 4.09 for uniform pixels.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import NICEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="NICE, 8x8 digits of 17 grey levels",
    system=NICEOptions(levels=17, layers=6, hidden=(256, 256)),
    data=DataOptions(data="digits", binarize="none"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=60, batch_size=50, learning_rate=5e-3, ema=0.995),
)
