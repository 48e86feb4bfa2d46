"""A one-layer VAE on dynamically binarised MNIST, the yardstick of `biva_mnist`.

zoo train vae_mnist --data-root DIR

Six epochs: a run for one CPU core, far from converged. The README has its figures.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.training import TrainingOptions
from zoo.options.vae import VAEOptions

EXPERIMENT = Experiment(
    summary="one-layer convolutional VAE, dynamically binarised MNIST",
    system=VAEOptions(latent=32, channels=32, strides=(2, 1, 2)),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=6, batch_size=50, learning_rate=3e-3, ema=0.999),
)
