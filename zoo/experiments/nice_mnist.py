"""NICE on MNIST, 256 grey levels.

    zoo train nice_mnist --data-root DIR

The paper's sizes, from memory: four couplings with five hidden layers of 1000. The paper has no logit in
front, and gives the log density of dequantised pixels in [0, 1]: 8 - 1980.50 / (784 log 2) = 4.36 bits a
dimension.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import NICEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="NICE, MNIST of 256 grey levels",
    system=NICEOptions(layers=4, hidden=(1000, 1000, 1000, 1000, 1000)),
    data=DataOptions(data="mnist", binarize="none"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=20, batch_size=100, learning_rate=1e-3, ema=0.999),
    paper="4.36 bits/dim (1980.50 nats, from memory)",
)
