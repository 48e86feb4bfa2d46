"""NICE on CIFAR-10, 256 grey levels.

    zoo train nice_cifar10 --data-root DIR

The paper's sizes, from memory: four couplings with four hidden layers of 2000. It whitens the images; here
they go through a logit.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import NICEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="NICE, CIFAR-10 of 256 grey levels",
    system=NICEOptions(layers=4, hidden=(2000, 2000, 2000, 2000)),
    data=DataOptions(data="cifar10", binarize="none"),
    image_shape=(3, 32, 32),
    training=TrainingOptions(epochs=100, batch_size=100, learning_rate=1e-3, ema=0.999),
)
