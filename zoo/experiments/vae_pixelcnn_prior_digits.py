"""A VAE on the embedded digits whose prior over maps is a Gated PixelCNN (arXiv:1611.05013).

    zoo train vae_pixelcnn_prior_digits

Seed 0, one CPU thread, 150 s, 154,673 parameters: test ELBO -17.65 +- 0.24, log p(x) -16.62 +- 0.22 nats
(K = 100, 297 images).
"""

from zoo.experiments.experiment import Experiment
from zoo.options.data import DataOptions
from zoo.options.vae import VAEOptions
from zoo.training.options import TrainingOptions

EXPERIMENT = Experiment(
    summary="VAE of maps, PixelCNN prior, 8x8 digits",
    system=VAEOptions(latent=4, channels=32, strides=(2, 1), spatial=True, prior_pixelcnn=3),
    data=DataOptions(data="digits", binarize="threshold"),
    image_shape=(1, 8, 8),
    training=TrainingOptions(
        epochs=70, batch_size=50, optimizer="adam", learning_rate=2e-3, learning_rate_decay=0.999, ema=0.995
    ),
)
