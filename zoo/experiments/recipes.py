"""Data sets and recipes that several experiments share; by name, so that nothing is imported to list them."""

from typing import Any

from zoo.settings import Config


def images(name: str, binarize: str, **options: Any) -> Config:
    """The images of a data set."""
    return Config("zoo.data.protocol.Protocol", data=name, binarize=binarize, **options)


def training(**options: Any) -> Config:
    """A recipe."""
    return Config("zoo.training.options.TrainingOptions", **options)


def adam(epochs: int, batch_size: int, rate: float, decay: float, ema: float, **options: Any) -> Config:
    """Adam with a rate that falls by a factor a step."""
    return training(
        epochs=epochs,
        batch_size=batch_size,
        optimizer="adam",
        learning_rate=rate,
        learning_rate_decay=decay,
        ema=ema,
        **options,
    )


def elbo(**options: Any) -> Config:
    """The ELBO."""
    return Config("zoo.infer.objectives.ELBO", **options)


DIGITS: dict[str, Any] = {"data": images("digits", "threshold"), "image_shape": (1, 8, 8)}
DIGITS_GREY: dict[str, Any] = {"data": images("digits", "none"), "image_shape": (1, 8, 8)}
MNIST: dict[str, Any] = {"data": images("mnist", "dynamic"), "image_shape": (1, 28, 28)}
MNIST_STATIC: dict[str, Any] = {"data": images("mnist", "static"), "image_shape": (1, 28, 28)}
MNIST_GREY: dict[str, Any] = {"data": images("mnist", "none"), "image_shape": (1, 28, 28)}
CIFAR10: dict[str, Any] = {"data": images("cifar10", "none"), "image_shape": (3, 32, 32)}
CIFAR10_HELD_OUT: dict[str, Any] = {
    "data": images("cifar10", "none", validation=5000),
    "image_shape": (3, 32, 32),
}

STATIC = "MNIST binarised once and for all: another test set"  # of a paper's figure

LOGISTIC_MIXTURE = Config("zoo.parts.likelihoods.LogisticMixtureLikelihood", components=10)
