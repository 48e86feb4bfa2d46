"""Gated PixelCNN on CIFAR-10, 256 grey levels (arXiv:1606.05328).

    zoo train gated_pixelcnn_cifar10 --data-root DIR

A softmax over 256 grey levels. The paper does not say what sizes its figure is of: these are ours.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.autoregressive import GatedPixelCNNOptions
from zoo.options.data import DataOptions
from zoo.options.likelihood import LikelihoodOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Gated PixelCNN, CIFAR-10 of 256 grey levels",
    system=GatedPixelCNNOptions(
        channels=128, layers=15, head=1024, likelihood_options=LikelihoodOptions(likelihood="categorical")
    ),
    data=DataOptions(data="cifar10", binarize="none"),
    image_shape=(3, 32, 32),
    training=TrainingOptions(
        epochs=50, batch_size=16, optimizer="adam", learning_rate=3e-4, clip=1.0, ema=0.999
    ),
    paper="3.03 bits/dim",
)
