"""RealNVP on the embedded digits, 17 grey levels.

    zoo train real_nvp_digits

The validation ELBO is nearly flat at the end.

Seed 0, one thread of a busy CPU, 233 s: test ELBO -90.18 +- 0.70 nats, 1.949 +- 0.015 bits/dim (K = 20, 297
images); 17 levels at random cost 4.09.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import RealNVPOptions
from zoo.options.training import TrainingOptions

EXPERIMENT = Experiment(
    summary="RealNVP, 8x8 digits of 17 grey levels",
    system=RealNVPOptions(levels=17, layers=3, hidden=(48, 48)),
    data=DataOptions(data="digits", binarize="none"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=60, batch_size=50, learning_rate=5e-3, ema=0.995),
)
