"""A small three-layer BIVA on dynamically binarised MNIST.

    zoo train biva_mnist --data-root DIR

Six epochs: a run for one CPU core, far from converged. The README has its figures.

Seed 0, compiled, one CPU thread, 44 min: test ELBO -89.84 +- 0.74, log p(x) -85.17 +- 0.71 nats (K = 100, the
first 1,000 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.hierarchy import BIVAOptions
from zoo.options.objective import ObjectiveOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="three-layer BIVA, dynamically binarised MNIST",
    system=BIVAOptions(latents=(32, 16, 8), strides=(2, 2, 1), kernels=(3, 3, 3), filters=16),
    data=DataOptions(data="mnist"),
    image_shape=(1, 28, 28),
    objective=ObjectiveOptions(free_bits=1.0, free_bits_steps=5000),  # 5 of 6 epochs
    training=TrainingOptions(epochs=6, batch_size=50, learning_rate=3e-3, ema=0.999),
)
