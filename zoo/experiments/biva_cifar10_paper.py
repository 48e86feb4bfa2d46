"""BIVA on CIFAR-10 (arXiv:1902.02102), fifteen layers of feature maps, 102,948,560 parameters.

    zoo train biva_cifar10_paper --data-root DIR

The paper's sizes and recipe, the model chosen on 5,000 validation images; standard deviations are free, see
`biva_mnist_paper`. A step of 48 images wants a GPU; ``--set checkpoint_activations=true`` saves memory.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import PAPER_CIFAR10, PAPER_OBJECTIVE, PAPER_TRAINING
from zoo.options.data import DataOptions
from zoo.options.hierarchy import BIVAOptions

EXPERIMENT = Experiment(
    summary="fifteen-layer BIVA as published, CIFAR-10",
    system=BIVAOptions(**PAPER_CIFAR10),
    data=DataOptions(data="cifar10", binarize="none", validation=5000),
    image_shape=(3, 32, 32),
    objective=PAPER_OBJECTIVE,
    training=PAPER_TRAINING,
    paper="3.12 bits/dim (ELBO), 3.08 (K = 1000)",
)
