"""MAF on MNIST, 256 grey levels.

    zoo train maf_mnist --data-root DIR

Five layers of one hidden layer of 1024, the paper's sizes from memory. Its data have been through the logit
with alpha = 1e-6; 1.89 bits/dim is on the test images.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import MAFOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="MAF, MNIST of 256 grey levels",
    system=MAFOptions(layers=5, hidden=(1024,)),
    data=DataOptions(data="mnist", binarize="none"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=20, batch_size=100, learning_rate=1e-3, ema=0.999),
    paper="1.89 bits/dim",
)
