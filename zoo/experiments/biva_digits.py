"""A three-layer BIVA on the embedded digits."""

from zoo.experiments.experiment import Experiment
from zoo.options.biva import BIVAOptions
from zoo.options.data import DataOptions
from zoo.options.training import TrainingOptions

EXPERIMENT = Experiment(
    summary="three-layer BIVA, 8x8 digits",
    system=BIVAOptions(latents=(16, 8, 4), strides=(2, 1, 2), kernels=(3, 3, 3), filters=16),
    data=DataOptions(data="digits"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=200, batch_size=50, ema=0.995),
)
