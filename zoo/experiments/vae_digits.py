"""A one-layer VAE on the embedded digits, the yardstick of `biva_digits`."""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.training import TrainingOptions
from zoo.options.vae import VAEOptions

EXPERIMENT = Experiment(
    summary="one-layer convolutional VAE, 8x8 digits",
    system=VAEOptions(latent=16, channels=40, strides=(2, 1, 2)),
    data=DataOptions(data="digits"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=200, batch_size=50, ema=0.995),
)
