"""M1 on the embedded digits: a VAE of dense networks to put under M2 (`m1_m2_digits`).

zoo train m1_digits
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import M1Options
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="M1, a dense VAE to put under M2, 8x8 digits",
    system=M1Options(latent=8, hidden=(128, 128)),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=40, batch_size=50),
)
