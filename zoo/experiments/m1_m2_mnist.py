"""M1+M2 on dynamically binarised MNIST, 100 of its images labelled.

    zoo train m1_mnist --data-root DIR
    zoo train m1_m2_mnist --data-root DIR --set m1=runs/m1_mnist

M1 first and M2 on its draws of z_1, as in the paper; without ``m1`` the two are trained at once. Four epochs:
far from converged.

Seeds 0, 1, 2 (of all, and of the labels), one CPU thread, 255 s each: 16.1 %, 13.3 %, 12.5 % of the 10,000
test images wrong, +- 0.4 % each.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import M1M2Options, SemiSupervisedOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="M1+M2, semi-supervised, MNIST with 100 labels",
    system=M1M2Options(latent=40, second=20, hidden=(400, 400)),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    objective=SemiSupervisedOptions(labels=100, alpha=1.0, weight=0.1),
    training=TrainingOptions(epochs=4, batch_size=100, ema=0.999),
    paper="3.33 % wrong with 100 labels",
)
