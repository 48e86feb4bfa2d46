"""A small three-layer BIVA on dynamically binarised MNIST."""

from zoo.experiments.experiment import Experiment
from zoo.options.biva import BIVAOptions
from zoo.options.data import DataOptions
from zoo.options.training import TrainingOptions

EXPERIMENT = Experiment(
    summary="three-layer BIVA, dynamically binarised MNIST",
    system=BIVAOptions(latents=(32, 16, 8), strides=(2, 2, 1), kernels=(5, 3, 3), filters=16),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=20, batch_size=100, ema=0.999),
)
