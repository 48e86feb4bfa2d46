"""A two-layer BIVA with a label on the embedded digits, 50 of them labelled.

    zoo train biva_semi_digits

Every unlabelled image goes down through the model once a class.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import SemiSupervisedBIVAOptions, SemiSupervisedOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="two-layer BIVA, semi-supervised, 8x8 digits with 50 labels",
    system=SemiSupervisedBIVAOptions(latents=(12, 6), strides=(2, 2), blocks=(1,), filters=12),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    objective=SemiSupervisedOptions(labels=50, labelled_batch=50),
    training=TrainingOptions(epochs=30, batch_size=50, learning_rate=5e-3, ema=0.995),
)
