"""M1 on dynamically binarised MNIST: a VAE of dense networks to put under M2 (`m1_m2_mnist`).

    zoo train m1_mnist --data-root DIR

Seed 0, one CPU thread, 102 s: test ELBO -96.2 +- 1.5 nats (300 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import M1Options
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="M1, a dense VAE to put under M2, MNIST",
    system=M1Options(latent=40, hidden=(400, 400)),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=10, batch_size=100, ema=0.999),
)
