"""PixelCNN++ on the embedded digits (arXiv:1701.05517), without the initialisation by data.

    zoo train pixelcnnpp_digits

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import PixelCNNppOptions
from zoo.options.data import DataOptions
from zoo.options.training import TrainingOptions

EXPERIMENT = Experiment(
    summary="PixelCNN++, 8x8 digits",
    system=PixelCNNppOptions(channels=20, resnets=1, resolutions=2, dropout=0.3),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=80, batch_size=50, optimizer="adam", learning_rate=2e-3, learning_rate_decay=0.999, ema=0.995
    ),
)
