"""BIVA's six layers on statically binarised MNIST (arXiv:1902.02102), 31,550,946 parameters.

    zoo train biva_mnist_paper --data-root DIR

The paper's sizes and recipe, but for three things. The binarisation is our own draw from a fixed seed, not
Larochelle's; the model is chosen on a validation split, where the published codes chose on the test set, and
50,000 images train it, where theirs added the validation split; standard deviations are free
(``--set scale=published`` keeps them at 1 or above, as the published codes do). Finetuned by
``zoo finetune RUN``.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import PAPER_OBJECTIVE, PAPER_TRAINING
from zoo.options.data import DataOptions
from zoo.options.hierarchy import BIVAOptions

EXPERIMENT = Experiment(
    summary="six-layer BIVA as published, statically binarised MNIST",
    system=BIVAOptions(
        latents=(48, 40, 32, 24, 16, 8),
        strides=(2, 1, 1, 1, 1, 2),
        kernels=(5, 3, 3, 3, 3, 3),
        blocks=(3,),
        filters=64,
        dropout_q=0.5,
        dropout_p=0.5,
        weight_norm=True,
    ),
    data=DataOptions(data="mnist", binarize="static"),
    image_shape=(1, 28, 28),
    objective=PAPER_OBJECTIVE,
    training=PAPER_TRAINING,
    paper="ELBO -81.20, log p(x) -78.67 (K = 1000); finetuned -80.47, -78.59",
)
