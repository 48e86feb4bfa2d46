"""MAF on the embedded digits, 17 grey levels.

    zoo train maf_digits

Stops where the validation ELBO of a longer run was best; it overfits from there on.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import MAFOptions
from zoo.options.training import TrainingOptions

EXPERIMENT = Experiment(
    summary="MAF, 8x8 digits of 17 grey levels",
    system=MAFOptions(levels=17, layers=5, hidden=(256,)),
    data=DataOptions(data="digits", binarize="none"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=50, batch_size=50, learning_rate=1e-2, ema=0.995),
)
