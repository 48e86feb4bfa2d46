"""LVAE of three layers on MNIST, small enough for a few minutes on a CPU core.

    zoo train lvae_mnist_small --data-root DIR

Sizes and recipe are those of its siblings, ``*_mnist_small``: the README compares them.

Seeds 0, 1, 2, one CPU thread, about 5 minutes: ELBO -104.47 +- 0.51, log p(x) -96.91 +- 0.47 nats (K = 100).
"""

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import SMALL_MNIST, SMALL_OBJECTIVE, SMALL_TRAINING
from zoo.options.data import DataOptions
from zoo.options.hierarchy import LadderVAEOptions

EXPERIMENT = Experiment(
    summary="small three-layer LVAE, MNIST",
    system=LadderVAEOptions(**SMALL_MNIST, skips=False),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    objective=SMALL_OBJECTIVE,
    training=SMALL_TRAINING,
)
