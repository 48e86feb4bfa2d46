"""Diagonal BiLSTM on the embedded digits (arXiv:1601.06759).

    zoo train diagonal_bilstm_digits

Seed 0, one CPU thread, 168 s, 19,873 parameters: test log p(x) -16.92 +- 0.26 nats (exact, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import DiagonalBiLSTMOptions
from zoo.options.data import DataOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Diagonal BiLSTM, 8x8 digits",
    system=DiagonalBiLSTMOptions(channels=16, layers=2),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=60, batch_size=50, optimizer="adam", learning_rate=4e-3, learning_rate_decay=0.999, ema=0.995
    ),
)
