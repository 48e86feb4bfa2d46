"""Glow on CIFAR-10, 256 grey levels.

    zoo train glow_cifar10 --data-root DIR

The paper's sizes: 3 scales of 32 steps, 512 channels. No horizontal flips.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import GlowOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Glow, CIFAR-10 of 256 grey levels",
    system=GlowOptions(steps=32, scales=3, hidden=(512, 512)),
    data=DataOptions(data="cifar10", binarize="none"),
    image_shape=(3, 32, 32),
    training=TrainingOptions(epochs=100, batch_size=64, learning_rate=1e-3, ema=0.999),
    paper="3.35 bits/dim (from memory)",
)
