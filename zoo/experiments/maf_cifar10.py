"""MAF on CIFAR-10, 256 grey levels.

    zoo train maf_cifar10 --data-root DIR

Ten layers of one hidden layer of 1024, sizes of the paper from memory. It also flips images.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import MAFOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="MAF, CIFAR-10 of 256 grey levels",
    system=MAFOptions(layers=10, hidden=(1024,)),
    data=DataOptions(data="cifar10", binarize="none"),
    image_shape=(3, 32, 32),
    training=TrainingOptions(epochs=100, batch_size=100, learning_rate=1e-3, ema=0.999),
    paper="4.31 bits/dim",
)
