"""Flow++ on the embedded digits, 17 grey levels.

    zoo train flow_plus_plus_digits

With variational dequantisation; not trained to the end.

Seed 0, one CPU thread, 183 s: test ELBO -84.16 +- 0.63, log p(x) -81.80 +- 0.60 nats (K = 20, 297 images),
1.844 +- 0.013 bits/dim, of 4.09 for uniform pixels.
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.flows import FlowPlusPlusOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="Flow++, 8x8 digits of 17 grey levels",
    system=FlowPlusPlusOptions(levels=17, components=4, width=24, blocks=1, noise_channels=24),
    data=DataOptions(data="digits", binarize="none"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(epochs=25, batch_size=50, learning_rate=1e-2, ema=0.995),
)
