"""BIVA on ImageNet of 32x32 pixels (arXiv:1902.02102 reports one; that it is the CIFAR-10 model is a guess).

    zoo train biva_imagenet32 --set data=PATH

The images are not downloaded: PATH is a folder of them, an .npz or an .npy.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import PAPER_CIFAR10, PAPER_OBJECTIVE, PAPER_TRAINING
from zoo.options.data import DataOptions
from zoo.options.hierarchy import BIVAOptions

EXPERIMENT = Experiment(
    summary="fifteen-layer BIVA, ImageNet of 32x32 (data=PATH)",
    system=BIVAOptions(**PAPER_CIFAR10),
    data=DataOptions(data="imagenet32.npz", binarize="none", validation=5000),
    image_shape=(3, 32, 32),
    objective=PAPER_OBJECTIVE,
    training=PAPER_TRAINING,
    paper="3.96 bits/dim (ELBO)",
)
