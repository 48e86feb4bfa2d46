"""PixelCNN++ on the embedded digits (arXiv:1701.05517).

    zoo train pixelcnnpp_digits

Initialised by data, it learns fast and overfits from the twentieth epoch on: the best epoch by validation is
kept (the last one has -17.52 +- 0.33).

Seed 0, one CPU thread, 304 s, 89,362 parameters: test log p(x) -16.59 +- 0.26 nats (exact, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import PixelCNNppOptions
from zoo.options.data import DataOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="PixelCNN++, 8x8 digits",
    system=PixelCNNppOptions(channels=16, resnets=1, resolutions=2, dropout=0.2),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=50,
        batch_size=50,
        optimizer="adam",
        learning_rate=2e-3,
        learning_rate_decay=0.999,
        ema=0.995,
        choose="best",
    ),
)
