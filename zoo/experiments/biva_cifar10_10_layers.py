"""BIVA of ten layers on CIFAR-10 (arXiv:1902.02102 reports such a model; the layout here is ours).

    zoo train biva_cifar10_10_layers --data-root DIR

The published fifteen-layer model without the five lowest of its layers of 16x16.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import PAPER_CIFAR10, PAPER_OBJECTIVE, PAPER_TRAINING
from zoo.options.data import DataOptions
from zoo.options.hierarchy import BIVAOptions

EXPERIMENT = Experiment(
    summary="ten-layer BIVA, layout of ours, CIFAR-10",
    system=BIVAOptions(
        **PAPER_CIFAR10
        | {
            "latents": tuple(range(28, 8, -2)),
            "strides": (2, *[1] * 4, 2, *[1] * 3, 2),
            "kernels": (5, *[3] * 9),
        }
    ),
    data=DataOptions(data="cifar10", binarize="none", validation=5000),
    image_shape=(3, 32, 32),
    objective=PAPER_OBJECTIVE,
    training=PAPER_TRAINING,
    paper="3.17 bits/dim (ELBO)",
)
