"""ADGM on the embedded digits, 50 of them labelled.

    zoo train adgm_digits

z and alpha are small, as in `m2_digits`.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import ADGMOptions, SemiSupervisedOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="ADGM, semi-supervised, 8x8 digits with 50 labels",
    system=ADGMOptions(latent=2, auxiliary=8, hidden=(128, 128)),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    objective=SemiSupervisedOptions(labels=50, labelled_batch=50, alpha=0.1),
    training=TrainingOptions(epochs=40, batch_size=50),
)
