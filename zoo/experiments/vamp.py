"""Systems under a VampPrior (arXiv:1705.07120), and beta-VAEs (arXiv:1606.05579, arXiv:1804.03599)."""

from typing import Any

from zoo.experiments.experiment import Experiment
from zoo.experiments.recipes import DIGITS, MNIST, elbo, training
from zoo.settings import Config

HVAE = "zoo.models.hvae_vamp."
CAPACITY = "zoo.infer.capacity.CapacityELBO"

ON_DIGITS: dict[str, Any] = {**DIGITS, "training": training(epochs=70, batch_size=50)}
ON_MNIST_PLAIN: dict[str, Any] = {
    **MNIST,
    "training": training(epochs=20, batch_size=100, optimizer="adam", learning_rate=5e-4, ema=0.999),
}

# the paper warms up for 100 epochs of 2,000 at most; its code normalises gradients, normalise=true
ON_MNIST: dict[str, Any] = {**ON_MNIST_PLAIN, "objective": elbo(warmup=5000)}

EXPERIMENTS = [
    Experiment(
        "vamp_vae_digits",
        "dense VAE under a VampPrior, 8x8 digits",
        Config("zoo.models.vamp_vae.vamp_vae", latent=16, hidden=(100, 100), num_pseudo_inputs=50),
        **ON_DIGITS,
        objective=elbo(warmup=500),
    ),
    Experiment(
        "hvae_vamp_digits",
        "dense hierarchy of two layers under a VampPrior, 8x8 digits",
        Config(HVAE + "hvae_vamp", latents=(16, 16), hidden=100, num_pseudo_inputs=50),
        **ON_DIGITS,
        objective=elbo(warmup=500),
    ),
    Experiment(
        "vamp_vae_mnist",
        "dense VAE under a VampPrior, dynamically binarised MNIST",
        Config("zoo.models.vamp_vae.vamp_vae"),
        **ON_MNIST,
    ),
    Experiment(
        "hvae_vamp_mnist",
        "dense hierarchy of two layers under a VampPrior, dynamically binarised MNIST",
        Config(HVAE + "hvae_vamp"),
        **ON_MNIST,
    ),
    Experiment(
        "conv_hvae_vamp_mnist",
        "convolutional hierarchy of two layers under a VampPrior, dynamically binarised MNIST",
        Config(HVAE + "conv_hvae_vamp"),
        **ON_MNIST,
    ),
    Experiment(
        "pixel_hvae_vamp_mnist",
        "PixelHVAE under a VampPrior, dynamically binarised MNIST",
        Config(HVAE + "pixel_hvae_vamp"),
        **ON_MNIST,
        paper="78.45 nats, dynamic MNIST",
    ),
    Experiment(
        "beta_vae_digits",
        "beta-VAE, beta = 4, 8x8 digits",
        Config("zoo.models.vae.vae", latent=10),
        **ON_DIGITS,
        objective=elbo(beta=4.0),
    ),
    Experiment(
        "beta_vae_capacity_digits",
        "beta-VAE whose capacity rises to 15 nats, 8x8 digits",
        Config("zoo.models.vae.vae", latent=10),
        **ON_DIGITS,
        objective=Config(CAPACITY, gamma=10.0, capacity=15.0, capacity_steps=1000),
    ),
    Experiment(
        "beta_vae_mnist",
        "beta-VAE, beta = 4, dynamically binarised MNIST",
        Config("zoo.models.vae.vae", latent=10),
        **ON_MNIST_PLAIN,
        objective=elbo(beta=4.0),
    ),
    Experiment(
        "beta_vae_capacity_mnist",
        "beta-VAE whose capacity rises to 25 nats, dynamically binarised MNIST",
        Config("zoo.models.vae.vae", latent=10),
        **ON_MNIST_PLAIN,
        objective=Config(CAPACITY, gamma=10.0, capacity=25.0, capacity_steps=5000),
    ),
]
