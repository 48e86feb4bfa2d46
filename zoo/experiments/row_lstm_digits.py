"""Row LSTM on the embedded digits (arXiv:1601.06759).

    zoo train row_lstm_digits

Seed 0, one CPU thread, 105 s, 25,441 parameters: test log p(x) -17.50 +- 0.25 nats (exact, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import RowLSTMOptions
from zoo.options.data import DataOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Row LSTM, 8x8 digits",
    system=RowLSTMOptions(channels=16, layers=3),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=60, batch_size=50, optimizer="adam", learning_rate=2e-3, learning_rate_decay=0.999, ema=0.995
    ),
)
