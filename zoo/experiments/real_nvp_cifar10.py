"""RealNVP on CIFAR-10, 256 grey levels.

    zoo train real_nvp_cifar10 --data-root DIR

The paper's scales and couplings. Its networks are residual, of eight blocks of 64 channels (from memory),
with weight and batch norm; here they are plain convolutions, with activation normalisation. No horizontal
flips.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import RealNVPOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="RealNVP, CIFAR-10 of 256 grey levels",
    system=RealNVPOptions(layers=3, scales=3, hidden=(64, 64, 64, 64)),
    data=DataOptions(data="cifar10", binarize="none"),
    image_shape=(3, 32, 32),
    training=TrainingOptions(epochs=100, batch_size=64, learning_rate=1e-3, ema=0.999),
    paper="3.49 bits/dim",
)
