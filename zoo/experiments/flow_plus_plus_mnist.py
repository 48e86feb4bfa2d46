"""Flow++ on MNIST, 256 grey levels.

    zoo train flow_plus_plus_mnist --data-root DIR

The paper has no MNIST. Small, for a CPU.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import FlowPlusPlusOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Flow++, MNIST of 256 grey levels",
    system=FlowPlusPlusOptions(components=4, width=32, blocks=2),
    data=DataOptions(data="mnist", binarize="none"),
    image_shape=(1, 28, 28),
    training=TrainingOptions(epochs=3, batch_size=50, learning_rate=1e-3, ema=0.999),
)
