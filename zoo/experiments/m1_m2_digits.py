"""M1+M2 on the embedded digits, 50 of them labelled.

    zoo train m1_m2_digits

alpha is small, as in `m2_digits`.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import M1M2Options, SemiSupervisedOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="M1+M2, semi-supervised, 8x8 digits with 50 labels",
    system=M1M2Options(latent=8, second=2, hidden=(128, 128)),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    objective=SemiSupervisedOptions(labels=50, labelled_batch=50, alpha=0.1),
    training=TrainingOptions(epochs=40, batch_size=50),
)
