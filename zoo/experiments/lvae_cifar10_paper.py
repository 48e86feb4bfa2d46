"""LVAE on CIFAR-10 (arXiv:1902.02102), fifteen layers of feature maps, 72,476,128 parameters.

    zoo train lvae_cifar10_paper --data-root DIR

The paper's sizes and recipe, the model chosen on 5,000 validation images; standard deviations are free, see
`biva_mnist_paper`. A step of 48 images wants a GPU; ``--set checkpoint_activations=true`` saves memory.

The paper prints 72.36M: its layout differs in a detail that it does not tell. LVAE+ has 984,960 more, exactly
the skip connections, as in the paper.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import PAPER_CIFAR10, PAPER_OBJECTIVE, PAPER_TRAINING
from zoo.options.data import DataOptions
from zoo.options.hierarchy import LadderVAEOptions

EXPERIMENT = Experiment(
    summary="fifteen-layer LVAE as published, CIFAR-10",
    system=LadderVAEOptions(**PAPER_CIFAR10, skips=False),
    data=DataOptions(data="cifar10", binarize="none", validation=5000),
    image_shape=(3, 32, 32),
    objective=PAPER_OBJECTIVE,
    training=PAPER_TRAINING,
    paper="3.60 bits/dim (ELBO)",
)
