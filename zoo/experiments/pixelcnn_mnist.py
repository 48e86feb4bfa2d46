"""PixelCNN on dynamically binarised MNIST (arXiv:1601.06759).

    zoo train pixelcnn_mnist --data-root DIR

The paper does not say how many blocks it has on MNIST; 7 is the number of its LSTM layers there.

With ``--set channels=16 --steps 2000``, seed 0, one CPU thread, 679 s, 20,385 parameters: test log p(x)
-93.17 +- 0.70 nats, exact (the first 1,000 images). The sizes below have not been run.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import PixelCNNOptions
from zoo.options.data import DataOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="PixelCNN, dynamically binarised MNIST",
    system=PixelCNNOptions(channels=64, blocks=7),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(
        epochs=20, batch_size=50, optimizer="adam", learning_rate=1e-3, learning_rate_decay=0.9999, ema=0.999
    ),
    paper="81.30 nats, MNIST binarised once and for all: another test set",
)
