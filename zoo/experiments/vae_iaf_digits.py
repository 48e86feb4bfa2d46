"""A VAE on the embedded digits whose posterior is an inverse autoregressive flow (arXiv:1606.04934).

    zoo train vae_iaf_digits

The recipe of `vae_digits`, with two layers of IAF in the guide that the encoder gives a context to.

Seed 0, one CPU thread, 142 s: test ELBO -17.50 +- 0.26, log p(x) -16.52 +- 0.24 nats (K = 1000, 297
images): on so few images no better than the normal posterior of `vae_digits`.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.vae import VAEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="one-layer VAE, IAF posterior, 8x8 digits",
    system=VAEOptions(latent=16, channels=40, strides=(2, 1, 2), posterior_layers=2),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=70, batch_size=50, learning_rate=5e-3, ema=0.995),
)
