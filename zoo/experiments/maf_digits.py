"""MAF on the embedded digits, 17 grey levels.

    zoo train maf_digits

Longer runs overfit.

Seed 0, one CPU thread, 50 s: test ELBO -94.58 +- 0.88, log p(x) -89.77 +- 0.79 nats (K = 100, 297 images),
2.024 +- 0.018 bits/dim, of 4.09 for uniform pixels.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import MAFOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="MAF, 8x8 digits of 17 grey levels",
    system=MAFOptions(levels=17, layers=5, hidden=(256,)),
    data=DataOptions(data="digits", binarize="none"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=50, batch_size=50, learning_rate=1e-2, ema=0.995),
)
