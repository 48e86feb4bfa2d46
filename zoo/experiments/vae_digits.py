"""A one-layer VAE on the embedded digits, the yardstick of `biva_digits`.

    zoo train vae_digits

It has a few more parameters than `biva_digits`, and stops after 70 epochs, where its validation ELBO is best;
it overfits from there on.

Seed 0, one CPU thread, 89 s: test ELBO -17.35 +- 0.26, log p(x) -16.24 +- 0.23 nats (K = 1000, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.vae import VAEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="one-layer convolutional VAE, 8x8 digits",
    system=VAEOptions(latent=16, channels=40, strides=(2, 1, 2)),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=70, batch_size=50, learning_rate=5e-3, ema=0.995),
)
