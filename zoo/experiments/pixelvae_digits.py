"""PixelVAE on the embedded digits (arXiv:1611.05013).

    zoo train pixelvae_digits

Seed 0, one CPU thread, 169 s, 199,201 parameters: test ELBO -16.69 +- 0.24, log p(x) -16.05 +- 0.22 nats
(K = 100, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.pixelvae import PixelVAEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="PixelVAE, 8x8 digits",
    system=PixelVAEOptions(channels=16, layers=2),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=60, batch_size=50, optimizer="adam", learning_rate=2e-3, learning_rate_decay=0.999, ema=0.995
    ),
)
