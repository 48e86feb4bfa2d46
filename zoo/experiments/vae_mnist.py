"""A one-layer VAE on dynamically binarised MNIST, the yardstick of `biva_mnist`.

    zoo train vae_mnist --data-root DIR

Six epochs: a run for one CPU core, far from converged. The README has its figures.

Seed 0, compiled, one CPU thread, 50 min: test ELBO -92.59 +- 0.70, log p(x) -87.85 +- 0.68 nats (K = 100, the
first 1,000 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.vae import VAEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="one-layer convolutional VAE, dynamically binarised MNIST",
    system=VAEOptions(latent=32, channels=32, strides=(2, 1, 2)),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=6, batch_size=50, learning_rate=3e-3, ema=0.999),
)
