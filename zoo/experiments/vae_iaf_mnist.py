"""A VAE on dynamically binarised MNIST whose posterior is an inverse autoregressive flow (arXiv:1606.04934).

    zoo train vae_iaf_mnist --data-root DIR

The recipe of `vae_mnist`, with two layers of IAF in the guide. Not run yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.vae import VAEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="one-layer VAE, IAF posterior, dynamically binarised MNIST",
    system=VAEOptions(latent=32, channels=32, strides=(2, 1, 2), posterior_layers=2, flow_hidden=(128, 128)),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=6, batch_size=50, learning_rate=3e-3, ema=0.999),
)
