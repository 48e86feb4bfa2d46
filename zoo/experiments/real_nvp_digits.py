"""RealNVP on the embedded digits, 17 grey levels.

    zoo train real_nvp_digits

Not trained to the end.

Seed 0, one CPU thread, 316 s: test ELBO -91.38 +- 0.65, log p(x) -87.37 +- 0.62 nats (K = 100, 297 images),
1.970 +- 0.014 bits/dim, of 4.09 for uniform pixels.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import RealNVPOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="RealNVP, 8x8 digits of 17 grey levels",
    system=RealNVPOptions(levels=17, layers=3, hidden=(48, 48)),
    data=DataOptions(data="digits", binarize="none"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=60, batch_size=50, learning_rate=5e-3, ema=0.995),
)
