"""Glow on MNIST, 256 grey levels.

    zoo train glow_mnist --data-root DIR

The paper has no MNIST; 1.05 bits/dim is what later papers give for it, from memory. Small, for a CPU: the
paper's networks have 512 channels and 32 steps a scale.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import GlowOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Glow, MNIST of 256 grey levels",
    system=GlowOptions(steps=8, scales=2, hidden=(64, 64)),
    data=DataOptions(data="mnist", binarize="none"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=6, batch_size=50, learning_rate=1e-3, ema=0.999),
    paper="1.05 bits/dim (as others report it, from memory)",
)
