"""bottom-up VAE of three layers on MNIST, small enough for a few minutes on a CPU core.

    zoo train hierarchical_vae_mnist_small --data-root DIR

Sizes and recipe are those of its siblings, ``*_mnist_small``.

Not run to the end here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import SMALL_MNIST, SMALL_OBJECTIVE, SMALL_TRAINING
from zoo.options.data import DataOptions
from zoo.options.hierarchy import HierarchicalVAEOptions

EXPERIMENT = Experiment(
    summary="small three-layer bottom-up VAE, MNIST",
    system=HierarchicalVAEOptions(**SMALL_MNIST),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    objective=SMALL_OBJECTIVE,
    training=SMALL_TRAINING,
)
