"""PixelCNN on the embedded digits (arXiv:1601.06759).

    zoo train pixelcnn_digits

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import PixelCNNOptions
from zoo.options.data import DataOptions
from zoo.options.training import TrainingOptions

EXPERIMENT = Experiment(
    summary="PixelCNN, 8x8 digits",
    system=PixelCNNOptions(channels=32, blocks=5, kernel=5),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=60, batch_size=50, optimizer="adam", learning_rate=2e-3, learning_rate_decay=0.999, ema=0.995
    ),
)
