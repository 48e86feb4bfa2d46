"""PixelVAE on dynamically binarised MNIST (arXiv:1611.05013).

    zoo train pixelvae_mnist --data-root DIR

Smaller than the paper's.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.pixelvae import PixelVAEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="PixelVAE, dynamically binarised MNIST",
    system=PixelVAEOptions(channels=32, layers=3, latent=32),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(
        epochs=20, batch_size=50, optimizer="adam", learning_rate=1e-3, learning_rate_decay=0.9999, ema=0.999
    ),
    paper="79.0, or at most 79.5 (from memory), nats, MNIST binarised once and for all: another test set",
)
