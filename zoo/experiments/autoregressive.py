"""Autoregressive densities of images: PixelCNN and its kin."""

from typing import Any

from zoo.experiments.experiment import Experiment
from zoo.experiments.recipes import CIFAR10, DIGITS, MNIST, STATIC, adam, elbo
from zoo.settings import Config


def density(network: str, likelihood: Config | None = None, /, **sizes: Any) -> Config:
    """The density by a network of `zoo.nn.causal`; of binary pixels by default."""
    family = {} if likelihood is None else {"likelihood": likelihood}
    causal = Config(f"zoo.nn.causal.{network}", **sizes)
    return Config("zoo.models.autoregressive.autoregressive", network=causal, **family)


SOFTMAX = Config("zoo.parts.families.Categoricals")
MIXTURE = Config("zoo.parts.families.LogisticMixtures", components=10)


def on_digits(name: str, title: str, system: Config, how: Config) -> Experiment:
    """On the 8x8 digits."""
    return Experiment(
        f"{name}_digits", f"{title}, 8x8 digits", system, **DIGITS, objective=elbo(), training=how
    )


def on_mnist(name: str, title: str, system: Config, batch_size: int = 50, paper: str = "") -> Experiment:
    """On MNIST, all by the same recipe."""
    return Experiment(
        f"{name}_mnist",
        f"{title}, dynamically binarised MNIST",
        system,
        **MNIST,
        objective=elbo(),
        training=adam(20, batch_size, 1e-3, 0.9999, 0.999),
        paper=paper,
    )


def on_cifar10(name: str, title: str, system: Config, paper: str, how: Config | None = None) -> Experiment:
    """On CIFAR-10, all but PixelCNN++ by the same recipe."""
    common = adam(50, 16, 3e-4, 1.0, 0.999, clip=1.0)
    return Experiment(
        f"{name}_cifar10",
        f"{title}, CIFAR-10 of 256 grey levels",
        system,
        **CIFAR10,
        objective=elbo(),
        training=how or common,
        paper=paper,
    )


WIDE: dict[str, Any] = {"channels": 128, "head": 1024}

EXPERIMENTS = [
    on_digits(
        "pixelcnn",
        "PixelCNN",
        density("PixelCNN", channels=16, blocks=7),
        adam(40, 50, 4e-3, 0.9985, 0.995),
    ),
    on_mnist(
        "pixelcnn", "PixelCNN", density("PixelCNN", channels=64, blocks=7), paper=f"81.30 nats, {STATIC}"
    ),
    on_cifar10("pixelcnn", "PixelCNN", density("PixelCNN", SOFTMAX, blocks=15, **WIDE), "3.14 bits/dim"),
    on_digits(
        "gated_pixelcnn",
        "Gated PixelCNN",
        density("GatedPixelCNN", channels=24, layers=5, kernel=5),
        adam(60, 50, 2e-3, 0.999, 0.995),
    ),
    on_mnist("gated_pixelcnn", "Gated PixelCNN", density("GatedPixelCNN", channels=32, layers=10)),
    on_cifar10(
        "gated_pixelcnn",
        "Gated PixelCNN",
        density("GatedPixelCNN", SOFTMAX, layers=15, **WIDE),
        "3.03 bits/dim",
    ),
    on_digits(
        "pixelcnnpp",
        "PixelCNN++",
        density("PixelCNNpp", channels=16, resnets=1, resolutions=2, dropout=0.2),
        adam(50, 50, 2e-3, 0.999, 0.995, choose="best"),
    ),
    on_mnist(
        "pixelcnnpp", "PixelCNN++", density("PixelCNNpp", channels=32, resnets=3, resolutions=3, dropout=0.3)
    ),
    on_cifar10(
        "pixelcnnpp",
        "PixelCNN++",
        density("PixelCNNpp", MIXTURE),  # the published sizes are the network's defaults
        "2.92 bits/dim",
        adam(5000, 128, 1e-3, 0.999995, 0.9995),
    ),
    on_digits(
        "row_lstm",
        "Row LSTM",
        density("RowLSTM", channels=16, layers=3),
        adam(60, 50, 2e-3, 0.999, 0.995),
    ),
    on_mnist(
        "row_lstm",
        "Row LSTM",
        density("RowLSTM", channels=16, layers=7),
        16,
        paper=f"80.54 (from memory) nats, {STATIC}",
    ),
    on_cifar10("row_lstm", "Row LSTM", density("RowLSTM", SOFTMAX, layers=12, **WIDE), "3.07 bits/dim"),
    on_digits(
        "diagonal_bilstm",
        "Diagonal BiLSTM",
        density("DiagonalBiLSTM", channels=16, layers=2),
        adam(60, 50, 4e-3, 0.999, 0.995),
    ),
    on_mnist(
        "diagonal_bilstm",
        "Diagonal BiLSTM",
        density("DiagonalBiLSTM", channels=16, layers=7),
        16,
        paper=f"79.20 nats, {STATIC}",
    ),
    on_cifar10(
        "diagonal_bilstm",
        "Diagonal BiLSTM",
        density("DiagonalBiLSTM", SOFTMAX, layers=12, **WIDE),
        "3.00 bits/dim",
    ),
    on_digits(
        "made", "MADE", density("MADE", hidden=(200,)), adam(60, 50, 2e-3, 0.999, 0.995, choose="best")
    ),
    on_mnist(
        "made",
        "MADE of one mask",
        density("MADE", hidden=(2000,)),
        paper=f"88.40 nats with 8,000 units, {STATIC}",
    ),
    on_digits(
        "wavenet",
        "WaveNet",
        density("WaveNet", channels=32, dilations=(1, 2, 4, 8, 16, 32)),
        adam(60, 50, 2e-3, 0.999, 0.995),
    ),
]
