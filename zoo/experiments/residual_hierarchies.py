"""NVAE, VDVAE and IAF-VAE: deep hierarchies in which every latent adds to one state.

The recipes ``*_paper`` are those of the published code: NVAE's Adamax with weight decay and a cosine, VDVAE's
AdamW with updates of large gradients left out (at most 100 in a row; the published rule has no bound). The
published code of IAF-VAE has free bits of 0.25 nats a channel, its best run 0.1, as here.
"""

from typing import Any

from zoo.experiments.experiment import Experiment
from zoo.experiments.recipes import (
    CIFAR10_HELD_OUT,
    DIGITS,
    MNIST,
    MNIST_STATIC,
    elbo,
    images,
    training,
)
from zoo.settings import Config

NVAE, VDVAE, IAF_VAE = "zoo.models.nvae.nvae", "zoo.models.vdvae.vdvae", "zoo.models.iaf_vae.iaf_vae"
VAE = "zoo.models.vae.vae"
COLOURS = Config("zoo.parts.families.LogisticMixtures", components=10)
COLOURS_5_BITS = Config("zoo.parts.families.LogisticMixtures", components=10, levels=32)

DIGITS_TRAINING = training(epochs=100, batch_size=50, learning_rate=5e-3, ema=0.995)
SMALL_TRAINING = training(
    steps=1000,
    batch_size=50,
    learning_rate=5e-3,
    ema=0.995,
    channels_last=True,  # a step takes two thirds of the time on a CPU
)


def regularised(**options: Any) -> Config:
    """The ELBO with balanced KL terms and spectral regularisation."""
    return Config("zoo.infer.regularised.RegularisedELBO", **options)


def nvae_training(epochs: int, batch_size: int, warmup: int) -> Config:
    """NVAE's recipe; the warm-up is five epochs, of ImageNet one."""
    return training(
        epochs=epochs,
        batch_size=batch_size,
        optimizer="adamax",
        eps=1e-3,
        weight_decay=3e-4,
        learning_rate=1e-2,
        learning_rate_warmup=warmup,
        learning_rate_floor=1e-4,
        cosine=True,
    )


def nvae(**sizes: Any) -> Config:
    """NVAE as published for colour images."""
    return Config(NVAE, **{"likelihood": COLOURS, "flows": 1, "checkpoint_activations": True} | sizes)


def vdvae(**sizes: Any) -> Config:
    """VDVAE as published."""
    return Config(VDVAE, **{"likelihood": COLOURS, "width": 512, "checkpoint_activations": True} | sizes)


def vdvae_training(
    batch_size: int, learning_rate: float, clip: float, skip_above: float, ema: float
) -> Config:
    """VDVAE's recipe; its 1.1 million steps on CIFAR-10."""
    return training(
        steps=1_100_000,
        batch_size=batch_size,
        optimizer="adamw",
        betas=(0.9, 0.9),
        weight_decay=0.01,
        learning_rate=learning_rate,
        learning_rate_warmup=100,
        clip=clip,
        skip_above=skip_above,
        ema=ema,
    )


# Ablations of NVAE's paper, tables 2 and 3, on the small network: what differs from it.
NVAE_SMALL: dict[str, Any] = {"groups": (4, 2), "cells": 1, "image_blocks": 2}
CELLS = "zoo.nn.residual_cells."
ABLATIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "absolute": ("absolute posteriors", {"law": Config("zoo.parts.laws.absolute")}, {}),
    "unregularised": ("no spectral regularisation", {}, {"spectral": 0.0}),
    "unbalanced": ("KL terms not balanced", {}, {"balance": False}),
    "flow": ("a flow on every posterior", {"flows": 1}, {}),
    "regular": ("regular cells", {"generative_cell": Config(f"{CELLS}regular_cell")}, {}),
    "separable": ("separable cells", {"encoder_cell": Config(f"{CELLS}separable_cell")}, {}),
    "no_se": (
        "no squeeze and excitation",
        {
            "encoder_cell": Config(f"{CELLS}regular_cell", squeeze_excite=False),
            "generative_cell": Config(f"{CELLS}separable_cell", squeeze_excite=False),
        },
        {},
    ),
    "elu": (
        "batch normalisation and ELU",
        {
            "encoder_cell": Config(
                f"{CELLS}regular_cell", before=Config("zoo.nn.preactivations.batch_norm_elu")
            ),
            "generative_cell": Config(
                f"{CELLS}separable_cell", before=Config("zoo.nn.preactivations.batch_norm_elu")
            ),
        },
        {},
    ),
    "no_norm": (
        "regular cells, weight normalisation and ELU",
        {
            name: Config(f"{CELLS}regular_cell", before=Config("zoo.nn.preactivations.elu_only"))
            for name in ("encoder_cell", "generative_cell")
        },
        {},
    ),
}
# IAF-VAE's table 1: posteriors on one vector of latents, by layers and width, and log p(x).
MNIST_TABLE = {
    "diagonal": (0, 0, "-81.08"),
    "2x320": (2, 320, "-79.77"),
    "2x1920": (2, 1920, "-79.30"),
    "4x1920": (4, 1920, "-79.17"),
    "8x1920": (8, 1920, "-79.10"),
}


def small_nvae(name: str, summary: str, system: dict[str, Any], objective: dict[str, Any]) -> Experiment:
    """The small NVAE of MNIST, 2,231,270 parameters, or what it becomes in an ablation."""
    return Experiment(
        name,
        summary,
        Config(NVAE, **{**NVAE_SMALL, **system}),
        **MNIST,
        objective=regularised(**{"warmup": 300, **objective}),
        training=SMALL_TRAINING,
    )


def iaf_mnist(posterior: str, layers: int, width: int, figure: str) -> Experiment:
    """A row of IAF-VAE's table 1."""
    flow = Config("zoo.parts.posteriors.iaf_posterior", layers=layers, hidden=(width, width), context=width)
    return Experiment(
        f"vae_iaf_mnist_{posterior}",
        f"one-layer VAE, posterior {posterior}, statically binarised MNIST",
        Config(VAE, latent=32, **({"posterior": flow} if layers else {})),
        **MNIST_STATIC,
        objective=elbo(),
        training=training(epochs=1000, batch_size=100, learning_rate=2e-3, ema=0.999),
        paper=f"log p(x) {figure} nats, of another encoder and decoder",
    )


EXPERIMENTS = [
    Experiment(
        "nvae_digits",
        "NVAE of four groups on two scales, 8x8 digits",
        Config(NVAE, groups=(2, 2), latent=4, channels=8, cells=1),
        **DIGITS,
        objective=regularised(warmup=800),
        training=DIGITS_TRAINING,
    ),
    small_nvae("nvae_mnist_small", "NVAE of six groups on two scales, MNIST", {}, {}),
    *(
        small_nvae(f"nvae_mnist_small_{name}", f"NVAE of six groups, {summary}, MNIST", system, objective)
        for name, (summary, system, objective) in ABLATIONS.items()
    ),
    Experiment(
        "nvae_mnist_paper",
        "NVAE as published, dynamically binarised MNIST",
        Config(NVAE, groups=(10, 5), channels=32, image_blocks=2, image_cells=3, checkpoint_activations=True),
        **MNIST,
        objective=regularised(warmup=18_000),
        training=nvae_training(400, 400, 750),
        paper="log p(x) -78.01 nats (K = 1000)",
    ),
    Experiment(
        "nvae_cifar10_paper",
        "NVAE as published, CIFAR-10",
        nvae(groups=(30,), channels=128),
        **CIFAR10_HELD_OUT,
        objective=regularised(warmup=21_000),
        training=nvae_training(400, 256, 875),
        paper="2.91 bits/dim (K = 1000)",
    ),
    Experiment(
        "nvae_celeba64_paper",
        "NVAE as published, CelebA of 64x64 (data=PATH)",
        nvae(groups=(20, 10, 5), channels=64),
        data=images("celeba64.npz", "none", validation=5000),
        image_shape=(3, 64, 64),
        objective=regularised(warmup=34_000, spectral=0.1),
        training=nvae_training(90, 128, 6300),
        paper="2.03 bits/dim (K = 1000)",
    ),
    Experiment(
        "nvae_imagenet32_paper",
        "NVAE as published, ImageNet of 32x32 (data=PATH)",
        nvae(groups=(28,), channels=192),
        data=images("imagenet32.npz", "none", validation=5000),
        image_shape=(3, 32, 32),
        objective=regularised(warmup=30_000, spectral_start=1.0),
        training=nvae_training(45, 576, 2200),
        paper="3.92 bits/dim (K = 1000)",
    ),
    Experiment(
        "nvae_celebahq256_paper",
        "NVAE as published, CelebA-HQ of 256x256 in 5 bits (data=PATH)",
        nvae(groups=(16, 8, 4, 4, 4), channels=30, flows=2, likelihood=COLOURS_5_BITS),
        data=images("celebahq256.npz", "none", validation=3000),
        image_shape=(3, 256, 256),
        objective=regularised(warmup=25_000, spectral_start=1.0),
        training=nvae_training(300, 96, 1400),
        paper="0.70 bits/dim (K = 1000)",
    ),
    Experiment(
        "vdvae_digits",
        "VDVAE of six latents on three resolutions, 8x8 digits",
        Config(VDVAE, width=32, latent=4),
        **DIGITS,
        objective=elbo(free_bits=1.0, free_bits_steps=1800),
        training=training(epochs=100, batch_size=50, learning_rate=2e-3, clip=200.0, ema=0.995),
    ),
    Experiment(
        "vdvae_mnist_small",
        "VDVAE of twelve latents on four resolutions, MNIST",
        Config(VDVAE, blocks=(3, 4, 4, 1), encoder_blocks=(2, 2, 2, 1), factors=(2, 2, 7), latent=8),
        **MNIST,
        objective=elbo(free_bits=1.0, free_bits_steps=700),
        training=training(steps=1000, batch_size=50, learning_rate=2e-3, clip=200.0, ema=0.995),
    ),
    Experiment(
        "vdvae_cifar10_paper",
        "VDVAE as published, CIFAR-10",
        vdvae(blocks=(22, 11, 6, 3, 1), encoder_blocks=(12, 7, 7, 4, 3), factors=(2, 2, 2, 4), width=384),
        **CIFAR10_HELD_OUT,
        objective=elbo(),
        training=vdvae_training(32, 2e-4, 200.0, 400.0, 0.9999),
        paper="2.87 bits/dim (ELBO)",
    ),
    Experiment(
        "vdvae_imagenet32_paper",
        "VDVAE as published, ImageNet of 32x32 (data=PATH)",
        vdvae(blocks=(41, 20, 10, 5, 2), encoder_blocks=(16, 10, 9, 7, 6), factors=(2, 2, 2, 4)),
        data=images("imagenet32.npz", "none", validation=5000),
        image_shape=(3, 32, 32),
        objective=elbo(),
        training=vdvae_training(256, 1.5e-4, 200.0, 300.0, 0.999),
        paper="3.80 bits/dim (ELBO)",
    ),
    Experiment(
        "vdvae_imagenet64_paper",
        "VDVAE as published, ImageNet of 64x64 (data=PATH)",
        vdvae(blocks=(13, 32, 16, 8, 4, 2), encoder_blocks=(12, 21, 10, 9, 8, 5), factors=(2, 2, 2, 2, 4)),
        data=images("imagenet64.npz", "none", validation=5000),
        image_shape=(3, 64, 64),
        objective=elbo(),
        training=vdvae_training(128, 1.5e-4, 220.0, 380.0, 0.999),
        paper="3.52 bits/dim (ELBO)",
    ),
    Experiment(
        "vdvae_ffhq256_paper",
        "VDVAE as published, FFHQ of 256x256 in 5 bits (data=PATH)",
        vdvae(
            blocks=(1, 8, 14, 22, 10, 5, 4, 2),
            encoder_blocks=(4, 9, 13, 18, 8, 6, 6, 4),
            factors=(2, 2, 2, 2, 2, 2, 4),
            likelihood=COLOURS_5_BITS,
        ),
        data=images("ffhq256.npz", "none", validation=5000),
        image_shape=(3, 256, 256),
        objective=elbo(),
        training=vdvae_training(32, 1.5e-4, 130.0, 180.0, 0.999),
        paper="0.61 bits/dim (ELBO)",
    ),
    Experiment(
        "iaf_vae_digits",
        "IAF-VAE of three layers on two scales, 8x8 digits",
        Config(IAF_VAE, blocks=(2, 1), width=16, latent=4, hidden=(16, 16)),
        **DIGITS,
        objective=Config("zoo.infer.channel_free_bits.ChannelFreeBits", free_bits=0.5, free_bits_steps=1800),
        training=DIGITS_TRAINING,
    ),
    Experiment(
        "iaf_vae_mnist_small",
        "IAF-VAE of four layers on two scales, MNIST",
        Config(IAF_VAE, latent=4, width=16, hidden=(16, 16)),
        **MNIST,
        objective=Config("zoo.infer.channel_free_bits.ChannelFreeBits", free_bits=0.5, free_bits_steps=700),
        training=training(steps=1000, batch_size=50, learning_rate=5e-3, ema=0.995),
    ),
    *(iaf_mnist(name, *row) for name, row in MNIST_TABLE.items()),
    Experiment(
        "iaf_vae_cifar10_paper",
        "IAF-VAE of twenty layers as published, CIFAR-10",
        Config(
            IAF_VAE,
            blocks=(20,),
            width=160,
            latent=32,
            hidden=(160, 160),
            likelihood=Config("zoo.parts.families.SharedScaleLogistics"),
            checkpoint_activations=True,
        ),
        **CIFAR10_HELD_OUT,
        objective=Config("zoo.infer.channel_free_bits.ChannelFreeBits", free_bits=0.1),
        training=training(epochs=1000, batch_size=256, learning_rate=2e-3, ema=0.999),
        paper="3.15 bits/dim (ELBO), 3.11 (K = 10,000)",
    ),
]
