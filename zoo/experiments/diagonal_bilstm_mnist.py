"""Diagonal BiLSTM on dynamically binarised MNIST (arXiv:1601.06759).

    zoo train diagonal_bilstm_mnist --data-root DIR

The paper's sizes; Adam in place of RMSProp.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import DiagonalBiLSTMOptions
from zoo.options.data import DataOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Diagonal BiLSTM, dynamically binarised MNIST",
    system=DiagonalBiLSTMOptions(channels=16, layers=7),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(
        epochs=20, batch_size=16, optimizer="adam", learning_rate=1e-3, learning_rate_decay=0.9999, ema=0.999
    ),
    paper="79.20 nats, MNIST binarised once and for all: another test set",
)
