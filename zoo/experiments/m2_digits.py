"""M2 on the embedded digits, 50 of them labelled.

    zoo train m2_digits

z is small, so that y has to say what kind of digit it is; alpha is small, so that the classifier also asks
the model of images before it is sure.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import M2Options, SemiSupervisedOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="M2, semi-supervised, 8x8 digits with 50 labels",
    system=M2Options(latent=2, hidden=(128, 128)),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    objective=SemiSupervisedOptions(labels=50, labelled_batch=50, alpha=0.03),
    training=TrainingOptions(epochs=40, batch_size=50),
)
