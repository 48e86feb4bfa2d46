"""PixelCNN++ on CIFAR-10, 256 grey levels (arXiv:1701.05517).

    zoo train pixelcnnpp_cifar10 --data-root DIR

The paper's sizes and recipe, but for Adam's second moments (a decay of 0.9995 there) and its batches, 128
images on 8 GPUs.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import PixelCNNppOptions
from zoo.options.data import DataOptions
from zoo.options.likelihood import LikelihoodOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="PixelCNN++, CIFAR-10 of 256 grey levels",
    system=PixelCNNppOptions(
        channels=160,
        resnets=5,
        resolutions=3,
        dropout=0.5,
        likelihood_options=LikelihoodOptions(likelihood="logistic_mixture", components=10),
    ),
    data=DataOptions(data="cifar10", binarize="none"),
    image_shape=(3, 32, 32),
    training=TrainingOptions(
        epochs=5000,
        batch_size=128,
        optimizer="adam",
        learning_rate=1e-3,
        learning_rate_decay=0.999995,
        ema=0.9995,
    ),
    paper="2.92 bits/dim",
)
