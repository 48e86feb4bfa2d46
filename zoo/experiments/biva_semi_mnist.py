"""A small three-layer BIVA with a label on dynamically binarised MNIST, 100 of its images labelled.

    zoo train biva_semi_mnist --data-root DIR

A run for hours on a CPU core: every unlabelled image goes down through the model once a class.

Not run to the end here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import SemiSupervisedBIVAOptions, SemiSupervisedOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="three-layer BIVA, semi-supervised, MNIST with 100 labels",
    system=SemiSupervisedBIVAOptions(latents=(32, 16, 8), strides=(2, 2, 1), blocks=(1,), filters=16),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    objective=SemiSupervisedOptions(labels=100, alpha=50.0, weight=0.1),
    training=TrainingOptions(epochs=6, batch_size=50, learning_rate=3e-3, ema=0.999),
    paper="0.83 % wrong with 100 labels",
)
