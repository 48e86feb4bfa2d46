"""Ladder VAE of three layers on MNIST, small enough for a few minutes on a CPU core.

    zoo train ladder_vae_mnist_small --data-root DIR

Sizes and recipe are those of its siblings, ``*_mnist_small``.

Not run to the end here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import SMALL_MNIST, SMALL_OBJECTIVE, SMALL_TRAINING
from zoo.options.data import DataOptions
from zoo.options.hierarchy import LadderVAEOptions

EXPERIMENT = Experiment(
    summary="small three-layer Ladder VAE, MNIST",
    system=LadderVAEOptions(**SMALL_MNIST, skips=False, merge="precision"),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    objective=SMALL_OBJECTIVE,
    training=SMALL_TRAINING,
)
