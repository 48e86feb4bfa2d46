"""A small PixelCNN++ on dynamically binarised MNIST (arXiv:1701.05517).

    zoo train pixelcnnpp_mnist --data-root DIR

The paper has no figure for MNIST.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import PixelCNNppOptions
from zoo.options.data import DataOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="PixelCNN++, dynamically binarised MNIST",
    system=PixelCNNppOptions(channels=32, resnets=3, resolutions=3, dropout=0.3),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(
        epochs=20, batch_size=50, optimizer="adam", learning_rate=1e-3, learning_rate_decay=0.9999, ema=0.999
    ),
)
