"""WaveNet on the embedded digits, an image's pixels as a sequence (arXiv:1609.03499).

    zoo train wavenet_digits

Seed 0, one CPU thread, 127 s, 37,761 parameters: test log p(x) -17.81 +- 0.29 nats (exact, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import WaveNetOptions
from zoo.options.data import DataOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="WaveNet, 8x8 digits",
    system=WaveNetOptions(channels=32),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=60, batch_size=50, optimizer="adam", learning_rate=2e-3, learning_rate_decay=0.999, ema=0.995
    ),
)
