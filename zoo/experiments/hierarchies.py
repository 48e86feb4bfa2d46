"""BIVA, LVAE and their kin: hierarchies of latent variables made of the same stages."""

from typing import Any

from zoo.experiments.experiment import Experiment
from zoo.experiments.recipes import (
    CIFAR10_HELD_OUT,
    DIGITS,
    LOGISTIC_MIXTURE,
    MNIST,
    MNIST_STATIC,
    elbo,
    images,
    training,
)
from zoo.settings import Config

BIVA = "zoo.models.biva.biva"
LVAE = "zoo.models.ladder_vae.lvae"
LADDER_VAE = "zoo.models.ladder_vae.ladder_vae"
HIERARCHICAL_VAE = "zoo.models.hierarchical_vae.hierarchical_vae"


def stages(**lists: Any) -> Config:
    """Sizes of the layers, the one nearest the image first."""
    return Config("zoo.nn.stages.stages", **lists)


# arXiv:1902.02102: free bits throughout, finetuned without them afterwards (`zoo finetune`)
PAPER: dict[str, Any] = {
    "objective": elbo(free_bits=2.0),
    "training": training(
        epochs=500,
        batch_size=48,
        optimizer="adamax",
        learning_rate=2e-3,
        learning_rate_decay=0.999999,
        learning_rate_floor=1e-4,
        ema=0.9995,
        choose="best",
    ),
}
PAPER_MNIST_STAGES = stages(
    latents=(48, 40, 32, 24, 16, 8),
    strides=(2, 1, 1, 1, 1, 2),
    kernels=(5, 3, 3, 3, 3, 3),
    blocks=(3,),
    filters=64,
)
PAPER_BLOCKS: dict[str, Any] = {"shortcut": "pad", "weight_norm": True}
PAPER_CIFAR10: dict[str, Any] = {**PAPER_BLOCKS, "dropout_q": 0.2, "likelihood": LOGISTIC_MIXTURE}


def paper_cifar10_stages(**lists: Any) -> Config:
    """The layout of arXiv:1902.02102 for 32x32 colour images, fifteen layers; or another."""
    published: dict[str, Any] = {
        "latents": tuple(range(38, 8, -2)),
        "strides": (2, *[1] * 9, 2, *[1] * 3, 2),
        "kernels": (5, *[3] * 14),
        "blocks": (3,),
        "spatial": (True,),
        "head_kernel": 0,
        "filters": 96,
    }
    return stages(**published | lists)


# three layers for a CPU core, the same for every model that is compared
SMALL: dict[str, Any] = {
    **MNIST,
    "objective": elbo(free_bits=1.0, free_bits_steps=700),
    "training": training(steps=1000, batch_size=50, learning_rate=5e-3, ema=0.995),
}
SMALL_STAGES = stages(latents=(16, 8, 4), strides=(2, 2, 1), blocks=(2,), filters=12)

EXPERIMENTS = [
    Experiment(
        "biva_digits",
        "three-layer BIVA, 8x8 digits",
        Config(BIVA, stages=stages(latents=(16, 8, 4), strides=(2, 1, 2), filters=16)),
        **DIGITS,
        objective=elbo(free_bits=1.0, free_bits_steps=2240),  # 80 of 120 epochs
        training=training(epochs=120, batch_size=50, learning_rate=5e-3, ema=0.995),
    ),
    Experiment(
        "biva_mnist",
        "three-layer BIVA, dynamically binarised MNIST",
        Config(BIVA, stages=stages(latents=(32, 16, 8), strides=(2, 2, 1), filters=16)),
        **MNIST,
        objective=elbo(free_bits=1.0, free_bits_steps=5000),  # 5 of 6 epochs
        training=training(epochs=6, batch_size=50, learning_rate=3e-3, ema=0.999),
    ),
    Experiment(
        "biva_mnist_paper",
        "six-layer BIVA as published, statically binarised MNIST",
        Config(BIVA, stages=PAPER_MNIST_STAGES, dropout_q=0.5, dropout_p=0.5, **PAPER_BLOCKS),
        **MNIST_STATIC,
        **PAPER,
        paper="ELBO -81.20, log p(x) -78.67 (K = 1000); finetuned -80.47, -78.59",
    ),
    Experiment(
        "biva_cifar10_paper",
        "fifteen-layer BIVA as published, CIFAR-10",
        Config(BIVA, stages=paper_cifar10_stages(), **PAPER_CIFAR10),
        **CIFAR10_HELD_OUT,
        **PAPER,
        paper="3.12 bits/dim (ELBO), 3.08 (K = 1000)",
    ),
    Experiment(
        "lvae_plus_cifar10_paper",
        "fifteen-layer LVAE+ as published, CIFAR-10",
        Config(LVAE, stages=paper_cifar10_stages(), **PAPER_CIFAR10),
        **CIFAR10_HELD_OUT,
        **PAPER,
        paper="3.41 bits/dim (ELBO)",
    ),
    Experiment(
        "lvae_cifar10_paper",
        "fifteen-layer LVAE as published, CIFAR-10",
        Config(LVAE, stages=paper_cifar10_stages(), skips=False, **PAPER_CIFAR10),
        **CIFAR10_HELD_OUT,
        **PAPER,
        paper="3.60 bits/dim (ELBO)",
    ),
    Experiment(
        "biva_cifar10_10_layers",
        "ten-layer BIVA, layout of ours, CIFAR-10",
        Config(
            BIVA,
            stages=paper_cifar10_stages(
                latents=tuple(range(28, 8, -2)),
                strides=(2, *[1] * 4, 2, *[1] * 3, 2),
                kernels=(5, *[3] * 9),
            ),
            **PAPER_CIFAR10,
        ),
        **CIFAR10_HELD_OUT,
        **PAPER,
        paper="3.17 bits/dim (ELBO)",
    ),
    Experiment(
        "biva_imagenet32",
        "fifteen-layer BIVA, ImageNet of 32x32 (data=PATH)",
        Config(BIVA, stages=paper_cifar10_stages(), **PAPER_CIFAR10),
        data=images("imagenet32.npz", "none", validation=5000),
        image_shape=(3, 32, 32),
        **PAPER,
        paper="3.96 bits/dim (ELBO)",
    ),
    Experiment(
        "biva_celeba64",
        "twenty-layer BIVA, layout of ours, CelebA of 64x64 (data=PATH)",
        Config(
            BIVA,
            stages=paper_cifar10_stages(
                latents=(*[38] * 5, *range(38, 8, -2)),
                strides=(2, *[1] * 4, 2, *[1] * 9, 2, *[1] * 3, 2),
                kernels=(5, *[3] * 19),
                head_kernel=5,
            ),
            **PAPER_CIFAR10,
        ),
        data=images("celeba64.npz", "none", validation=5000),
        image_shape=(3, 64, 64),
        **PAPER,
        paper="2.48 bits/dim (ELBO)",
    ),
    Experiment(
        "biva_mnist_small", "small three-layer BIVA, MNIST", Config(BIVA, stages=SMALL_STAGES), **SMALL
    ),
    Experiment(
        "lvae_plus_mnist_small", "small three-layer LVAE+, MNIST", Config(LVAE, stages=SMALL_STAGES), **SMALL
    ),
    Experiment(
        "lvae_mnist_small",
        "small three-layer LVAE, MNIST",
        Config(LVAE, stages=SMALL_STAGES, skips=False),
        **SMALL,
    ),
    Experiment(
        "ladder_vae_mnist_small",
        "small three-layer Ladder VAE, MNIST",
        Config(LADDER_VAE, stages=SMALL_STAGES),
        **SMALL,
    ),
    Experiment(
        "hierarchical_vae_mnist_small",
        "small three-layer bottom-up VAE, MNIST",
        Config(HIERARCHICAL_VAE, stages=SMALL_STAGES),
        **SMALL,
    ),
]
