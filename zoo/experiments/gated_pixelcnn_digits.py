"""Gated PixelCNN on the embedded digits (arXiv:1606.05328).

    zoo train gated_pixelcnn_digits

Seed 0, one CPU thread, 165 s, 53,801 parameters: test log p(x) -17.23 +- 0.27 nats (exact, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import GatedPixelCNNOptions
from zoo.options.data import DataOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Gated PixelCNN, 8x8 digits",
    system=GatedPixelCNNOptions(channels=24, layers=5, kernel=5),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=60, batch_size=50, optimizer="adam", learning_rate=2e-3, learning_rate_decay=0.999, ema=0.995
    ),
)
