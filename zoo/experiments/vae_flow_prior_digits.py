"""A VAE on the embedded digits whose prior is a masked autoregressive flow (arXiv:1705.07057).

    zoo train vae_flow_prior_digits

The recipe of `vae_digits`, with two layers of MAF from the standard normal to z.

Seed 0, one CPU thread, 113 s: test ELBO -17.25 +- 0.25, log p(x) -16.33 +- 0.23 nats (K = 1000, 297
images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.vae import VAEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="one-layer VAE, MAF prior, 8x8 digits",
    system=VAEOptions(latent=16, channels=40, strides=(2, 1, 2), prior_layers=2),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=70, batch_size=50, learning_rate=5e-3, ema=0.995),
)
