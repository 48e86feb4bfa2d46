"""PixelCNN on the embedded digits (arXiv:1601.06759).

    zoo train pixelcnn_digits

Seed 0, one CPU thread, 54 s, 20,385 parameters: test log p(x) -17.88 +- 0.27 nats (exact, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import PixelCNNOptions
from zoo.options.data import DataOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="PixelCNN, 8x8 digits",
    system=PixelCNNOptions(channels=16, blocks=7),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=40, batch_size=50, optimizer="adam", learning_rate=4e-3, learning_rate_decay=0.9985, ema=0.995
    ),
)
