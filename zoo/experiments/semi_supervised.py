"""Learning from few labels: M2, M1+M2, ADGM, SDGM and BIVA with a label.

The first paper (arXiv:1406.5298) has weight = N_l / N_u and alpha = 0.1 N / N_u, see `zoo.SemiSupervised`.
The MNIST recipes depart from both, for runs of a few epochs instead of thousands: weight = 0.1 and alpha = 50
on images; weight = 0.3 and alpha = 0.1 in M1+M2, on M1's draws of z_1.
"""

from typing import Any

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import stages
from zoo.experiments.recipes import DIGITS, MNIST, training
from zoo.settings import Config

M2, M1_M2 = "zoo.models.m2.m2", "zoo.models.m2.m1_m2"
ADGM, SDGM = "zoo.models.auxiliary.adgm", "zoo.models.auxiliary.sdgm"
BIVA = "zoo.models.semi_supervised_biva.semi_supervised_biva"


def few_labels(labels: int, labelled_batch: int, **factors: float) -> Config:
    """The objective, with that many labelled images."""
    target = "zoo.infer.semi_supervised.SemiSupervised"
    return Config(target, labels=labels, labelled_batch=labelled_batch, **factors)


PRETRAINED = Config("zoo.runs.finetuning.load_pretrained_m1")
CONVOLUTIONAL = Config("zoo.nn.encoders.convolutional", channels=8)
DIGITS_TRAINING = training(epochs=40, batch_size=50)
MNIST_TRAINING = training(epochs=6, batch_size=100, ema=0.999)
ON_MNIST: dict[str, Any] = {**MNIST, "objective": few_labels(100, 100, alpha=50.0, weight=0.1)}

EXPERIMENTS = [
    Experiment(
        "m2_digits",
        "M2, semi-supervised, 8x8 digits with 50 labels",
        Config(M2, latent=2, hidden=(128, 128)),
        **DIGITS,
        objective=few_labels(50, 50, alpha=0.03),
        training=DIGITS_TRAINING,
    ),
    Experiment(
        "m2_mnist",
        "M2, semi-supervised, MNIST with 100 labels",
        Config(M2, encoder=CONVOLUTIONAL),
        **ON_MNIST,
        training=MNIST_TRAINING,
        paper="11.97 % wrong with 100 labels",
    ),
    Experiment(
        "m1_m2_digits",
        "M1+M2, semi-supervised, 8x8 digits with 50 labels",
        Config(M1_M2, latent=8, second=2, hidden=(128, 128)),
        **DIGITS,
        objective=few_labels(50, 50, alpha=0.1),
        training=DIGITS_TRAINING,
        begin=PRETRAINED,
    ),
    Experiment(
        "m1_m2_mnist",
        "M1+M2, semi-supervised, MNIST with 100 labels",
        Config(
            M1_M2,
            latent=40,
            second=5,
            hidden=(400, 400),
            second_hidden=(128,),
            second_activation="relu",
        ),
        **MNIST,
        objective=few_labels(100, 50, alpha=0.1, weight=0.3),
        training=training(
            epochs=100, batch_size=100, optimizer="adam", learning_rate=5e-3, cosine=True, ema=0.999
        ),
        paper="3.33 % wrong with 100 labels",
        begin=PRETRAINED,
    ),
    Experiment(
        "adgm_digits",
        "ADGM, semi-supervised, 8x8 digits with 50 labels",
        Config(ADGM, latent=2, auxiliary=8, hidden=(128, 128)),
        **DIGITS,
        objective=few_labels(50, 50, alpha=0.1),
        training=DIGITS_TRAINING,
    ),
    Experiment(
        "adgm_mnist",
        "ADGM, semi-supervised, MNIST with 100 labels",
        Config(ADGM, encoder=CONVOLUTIONAL),
        **ON_MNIST,
        training=MNIST_TRAINING,
        paper="0.96 % wrong with 100 labels",
    ),
    Experiment(
        "sdgm_digits",
        "SDGM, semi-supervised, 8x8 digits with 50 labels",
        Config(SDGM, latent=2, auxiliary=8, hidden=(128, 128)),
        **DIGITS,
        objective=few_labels(50, 50, alpha=0.1),
        training=DIGITS_TRAINING,
    ),
    Experiment(
        "sdgm_mnist",
        "SDGM, semi-supervised, MNIST with 100 labels",
        Config(SDGM, encoder=CONVOLUTIONAL),
        **ON_MNIST,
        training=MNIST_TRAINING,
        paper="1.32 % wrong with 100 labels",
    ),
    Experiment(
        "biva_semi_digits",
        "two-layer BIVA, semi-supervised, 8x8 digits with 50 labels",
        Config(BIVA, stages=stages(latents=(12, 6), strides=(2, 2), blocks=(1,), filters=12)),
        **DIGITS,
        objective=few_labels(50, 50, alpha=1.0),
        training=training(epochs=30, batch_size=50, learning_rate=5e-3, ema=0.995),
    ),
    Experiment(
        "biva_semi_mnist",
        "three-layer BIVA, semi-supervised, MNIST with 100 labels",
        Config(BIVA, stages=stages(latents=(32, 16, 8), strides=(2, 2, 1), blocks=(1,), filters=16)),
        **ON_MNIST,
        training=training(epochs=6, batch_size=50, learning_rate=3e-3, ema=0.999),
        paper="0.83 % wrong with 100 labels",
    ),
]
