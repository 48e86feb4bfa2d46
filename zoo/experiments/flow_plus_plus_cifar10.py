"""Flow++ on CIFAR-10, 256 grey levels.

    zoo train flow_plus_plus_cifar10 --data-root DIR

The paper's sizes of the density. The noise has its four couplings, of plain convolutions in place of gated
ones with attention. Uniform noise: --set noise_layers=0.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import FlowPlusPlusOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Flow++, CIFAR-10 of 256 grey levels",
    system=FlowPlusPlusOptions(
        components=32, width=96, blocks=10, heads=4, noise_channels=96, noise_components=32
    ),
    data=DataOptions(data="cifar10", binarize="none"),
    image_shape=(3, 32, 32),
    training=TrainingOptions(epochs=100, batch_size=64, learning_rate=1e-3, ema=0.999),
    paper="3.08 bits/dim; 3.29 with uniform noise (from memory)",
)
