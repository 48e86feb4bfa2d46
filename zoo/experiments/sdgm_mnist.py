"""SDGM on dynamically binarised MNIST, 100 of its images labelled.

    zoo train sdgm_mnist --data-root DIR

Six epochs: a run for one CPU core, far from converged. The paper's networks are dense; here the
guide's encoder is convolutional, which a short run profits from.

Not run to the end here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import SDGMOptions, SemiSupervisedOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="SDGM, semi-supervised, MNIST with 100 labels",
    system=SDGMOptions(latent=32, auxiliary=32, hidden=(256, 256), channels=8),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    objective=SemiSupervisedOptions(labels=100, alpha=50.0, weight=0.1),
    training=TrainingOptions(epochs=6, batch_size=100, ema=0.999),
    paper="1.32 % wrong with 100 labels",
)
