"""Densities of images made of flows: NICE, RealNVP, Glow, Flow++ and MAF."""

from typing import Any

from zoo.experiments.experiment import Experiment
from zoo.experiments.recipes import CIFAR10, DIGITS_GREY, MNIST_GREY, elbo, training
from zoo.settings import Config

NICE, REAL_NVP, GLOW = "zoo.models.nice.nice", "zoo.models.real_nvp.real_nvp", "zoo.models.glow.glow"
FLOW_PLUS_PLUS, MAF = "zoo.models.flow_plus_plus.flow_plus_plus", "zoo.models.maf.maf"

DIGITS: dict[str, Any] = {**DIGITS_GREY, "objective": elbo()}
MNIST: dict[str, Any] = {**MNIST_GREY, "objective": elbo()}
COLOURS: dict[str, Any] = {**CIFAR10, "objective": elbo()}


def recipe(epochs: int, batch_size: int, learning_rate: float = 1e-3, ema: float = 0.999) -> Config:
    """Adamax with an average of the parameters."""
    return training(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, ema=ema)


EXPERIMENTS = [
    Experiment(
        "nice_digits",
        "NICE, 8x8 digits of 17 grey levels",
        Config(NICE, levels=17, layers=6, hidden=(256, 256)),
        **DIGITS,
        training=recipe(60, 50, 5e-3, 0.995),
    ),
    Experiment(
        "nice_mnist",
        "NICE, MNIST of 256 grey levels",
        Config(NICE, hidden=(1000,) * 5),
        **MNIST,
        training=recipe(20, 100),
        paper="4.36 bits/dim (1980.50 nats, from memory)",
    ),
    Experiment(
        "nice_cifar10",
        "NICE, CIFAR-10 of 256 grey levels",
        Config(NICE, hidden=(2000,) * 4),
        **COLOURS,
        training=recipe(100, 100),
    ),
    Experiment(
        "real_nvp_digits",
        "RealNVP, 8x8 digits of 17 grey levels",
        Config(REAL_NVP, levels=17, hidden=(48, 48)),
        **DIGITS,
        training=recipe(60, 50, 5e-3, 0.995),
    ),
    Experiment(
        "real_nvp_mnist",
        "RealNVP, MNIST of 256 grey levels",
        Config(REAL_NVP, scales=2, hidden=(64, 64)),
        **MNIST,
        training=recipe(6, 50),
        paper="1.06 bits/dim (as others report it, from memory)",
    ),
    Experiment(
        "real_nvp_cifar10",
        "RealNVP, CIFAR-10 of 256 grey levels",
        Config(REAL_NVP, scales=3, hidden=(64,) * 4),
        **COLOURS,
        training=recipe(100, 64),
        paper="3.49 bits/dim",
    ),
    Experiment(
        "glow_digits",
        "Glow, 8x8 digits of 17 grey levels",
        Config(GLOW, levels=17, depth=6, hidden=(48, 48)),
        **DIGITS,
        training=recipe(30, 50, 1e-2, 0.995),
    ),
    Experiment(
        "glow_mnist",
        "Glow, MNIST of 256 grey levels",
        Config(GLOW, depth=8, scales=2, hidden=(64, 64)),
        **MNIST,
        training=recipe(6, 50),
        paper="1.05 bits/dim (as others report it, from memory)",
    ),
    Experiment(
        "glow_cifar10",
        "Glow, CIFAR-10 of 256 grey levels",
        Config(GLOW, depth=32, scales=3, hidden=(512, 512)),
        **COLOURS,
        training=recipe(100, 64),
        paper="3.35 bits/dim (from memory)",
    ),
    Experiment(
        "flow_plus_plus_digits",
        "Flow++, 8x8 digits of 17 grey levels",
        Config(FLOW_PLUS_PLUS, levels=17, components=4, width=24, blocks=1, noise_channels=24),
        **DIGITS,
        training=recipe(25, 50, 1e-2, 0.995),
    ),
    Experiment(
        "flow_plus_plus_mnist",
        "Flow++, MNIST of 256 grey levels",
        Config(FLOW_PLUS_PLUS, components=4),
        **MNIST,
        training=recipe(3, 50),
    ),
    Experiment(
        "flow_plus_plus_cifar10",
        "Flow++, CIFAR-10 of 256 grey levels",
        Config(
            FLOW_PLUS_PLUS,
            components=32,
            width=96,
            blocks=10,
            heads=4,
            noise_channels=96,
            noise_components=32,
        ),
        **COLOURS,
        training=recipe(100, 64),
        paper="3.08 bits/dim; 3.29 with uniform noise (from memory)",
    ),
    Experiment(
        "maf_digits",
        "MAF, 8x8 digits of 17 grey levels",
        Config(MAF, levels=17, hidden=(256,)),
        **DIGITS,
        training=recipe(50, 50, 1e-2, 0.995),
    ),
    Experiment(
        "maf_mnist",
        "MAF, MNIST of 256 grey levels",
        Config(MAF, hidden=(1024,)),
        **MNIST,
        training=recipe(20, 100),
        paper="1.89 bits/dim",
    ),
    Experiment(
        "maf_cifar10",
        "MAF, CIFAR-10 of 256 grey levels",
        Config(MAF, layers=10, hidden=(1024,)),
        **COLOURS,
        training=recipe(100, 100),
        paper="4.31 bits/dim",
    ),
]
