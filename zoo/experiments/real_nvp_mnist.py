"""RealNVP on MNIST, 256 grey levels.

    zoo train real_nvp_mnist --data-root DIR

The paper has no MNIST; 1.06 bits/dim is what later papers give for it, from memory. Small, for a CPU.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import RealNVPOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="RealNVP, MNIST of 256 grey levels",
    system=RealNVPOptions(layers=3, scales=2, hidden=(64, 64)),
    data=DataOptions(data="mnist", binarize="none"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=6, batch_size=50, learning_rate=1e-3, ema=0.999),
    paper="1.06 bits/dim (as others report it, from memory)",
)
