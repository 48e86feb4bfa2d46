"""VAEs of one layer of latent variables, with several priors, posteriors and likelihoods."""

from typing import Any

from zoo.experiments.experiment import Experiment
from zoo.experiments.recipes import DIGITS, DIGITS_GREY, MNIST, MNIST_GREY, STATIC, adam, elbo, training
from zoo.settings import Config

VAE, PIXELVAE, M1 = "zoo.models.vae.vae", "zoo.models.vae.pixelvae", "zoo.models.vae.m1"
LINEAR = "zoo.models.linear_vae.linear_vae"

AGGRESSIVE, SOFT_FREE_BITS = "zoo.infer.aggressive.AggressiveELBO", "zoo.infer.soft_free_bits.SoftFreeBits"
MAF_PRIOR = Config("zoo.parts.priors.maf_prior", layers=4)

ON_DIGITS: dict[str, Any] = {**DIGITS, "objective": elbo()}
ON_MNIST: dict[str, Any] = {**MNIST, "objective": elbo()}
DIGITS_TRAINING = training(epochs=70, batch_size=50, learning_rate=5e-3, ema=0.995)
MNIST_TRAINING = training(epochs=6, batch_size=50, learning_rate=3e-3, ema=0.999)


def pixelvae(latent: int = 16, prior: Config | None = None, **sizes: Any) -> Config:
    """A PixelVAE whose few layers leave what is global to z."""
    network = Config("zoo.nn.causal.GatedPixelCNN", kernel=3, **sizes)
    chosen = {} if prior is None else {"prior": prior}
    return Config(PIXELVAE, latent=latent, network=network, **chosen)


EXPERIMENTS = [
    Experiment(
        "vae_digits",
        "one-layer convolutional VAE, 8x8 digits",
        Config(VAE, channels=40),
        **ON_DIGITS,
        training=DIGITS_TRAINING,
    ),
    Experiment(
        "linear_vae_digits",
        "linear VAE, whose evidence is known, 8x8 digits",
        Config(LINEAR, latent=16),
        **DIGITS_GREY,
        objective=elbo(),
        training=training(epochs=200, batch_size=50, learning_rate=5e-3, learning_rate_decay=0.9995),
    ),
    Experiment(
        "linear_vae_mnist",
        "linear VAE, whose evidence is known, MNIST",
        Config(LINEAR, latent=50),
        **MNIST_GREY,
        objective=elbo(),
        training=training(epochs=20, batch_size=100, learning_rate=2e-3, learning_rate_decay=0.9998),
    ),
    Experiment(
        "vae_flow_prior_digits",
        "one-layer VAE, MAF prior, 8x8 digits",
        Config(VAE, channels=40, prior=Config("zoo.parts.priors.maf_prior")),
        **ON_DIGITS,
        training=DIGITS_TRAINING,
    ),
    Experiment(
        "vae_iaf_digits",
        "one-layer VAE, IAF posterior, 8x8 digits",
        Config(VAE, channels=40, posterior=Config("zoo.parts.posteriors.iaf_posterior")),
        **ON_DIGITS,
        training=DIGITS_TRAINING,
    ),
    Experiment(
        "vae_pixelcnn_prior_digits",
        "VAE of maps, PixelCNN prior, 8x8 digits",
        Config(VAE, latent=4, strides=(2, 1), spatial=True, prior=Config("zoo.parts.priors.pixelcnn_prior")),
        **ON_DIGITS,
        training=adam(70, 50, 2e-3, 0.999, 0.995),
    ),
    Experiment(
        "vae_mnist",
        "one-layer convolutional VAE, dynamically binarised MNIST",
        Config(VAE, latent=32),
        **ON_MNIST,
        training=MNIST_TRAINING,
    ),
    Experiment(
        "vae_iaf_mnist",
        "one-layer VAE, IAF posterior, dynamically binarised MNIST",
        Config(VAE, latent=32, posterior=Config("zoo.parts.posteriors.iaf_posterior", hidden=(128, 128))),
        **ON_MNIST,
        training=MNIST_TRAINING,
    ),
    Experiment(
        "pixelvae_digits",
        "PixelVAE, 8x8 digits",
        pixelvae(channels=16, layers=2),
        **ON_DIGITS,
        training=adam(60, 50, 2e-3, 0.999, 0.995),
    ),
    Experiment(
        "pixelvae_mnist",
        "PixelVAE, dynamically binarised MNIST",
        pixelvae(latent=32, channels=32, layers=3),
        **ON_MNIST,
        training=adam(20, 50, 1e-3, 0.9999, 0.999),
        paper=f"79.0, or at most 79.5 (from memory), nats, {STATIC}",
    ),
    Experiment(
        "lagging_vae_digits",
        "PixelVAE with aggressive training of its guide, 8x8 digits",
        pixelvae(channels=16, layers=2),
        **DIGITS,
        objective=Config(AGGRESSIVE, inner_steps=10, check_every=300),
        training=adam(200, 50, 2e-3, 0.9997, 0.995),
    ),
    Experiment(
        "lagging_vae_mnist",
        "PixelVAE with aggressive training of its guide, dynamically binarised MNIST",
        pixelvae(latent=32, channels=32, layers=3),
        **MNIST,
        objective=Config(AGGRESSIVE),
        training=adam(20, 50, 1e-3, 0.9999, 0.999),
    ),
    Experiment(
        "delta_vae_digits",
        "PixelVAE whose prior commits 7.6 nats to the latents, 8x8 digits",
        Config(
            "zoo.models.delta_vae.delta_vae",
            network=Config("zoo.nn.causal.GatedPixelCNN", kernel=3, channels=16, layers=2),
        ),
        **ON_DIGITS,
        training=adam(60, 50, 2e-3, 0.999, 0.995),
    ),
    Experiment(
        "lossy_vae_digits",
        "VLAE: MAF prior, decoder that sees the nearest pixels, soft free bits, 8x8 digits",
        pixelvae(prior=MAF_PRIOR, channels=12, layers=2),
        **DIGITS,
        objective=Config(SOFT_FREE_BITS, target=5.0),
        training=adam(60, 50, 2e-3, 0.999, 0.995),
    ),
    Experiment(
        "lossy_vae_mnist",
        "VLAE: MAF prior, decoder that sees the nearest pixels, soft free bits, dynamically binarised MNIST",
        pixelvae(latent=64, prior=MAF_PRIOR, channels=12, layers=3),
        **MNIST,
        objective=Config(SOFT_FREE_BITS, target=7.84),  # 0.01 nats a pixel
        training=adam(20, 50, 1e-3, 0.9999, 0.999),
        paper="78.53 nats, dynamic MNIST, K = 4096",
    ),
    Experiment(
        "sa_vae_digits",
        "PixelVAE with a semi-amortised guide, 8x8 digits",
        Config(
            "zoo.models.sa_vae.sa_vae",
            latent=16,
            refinements=5,
            network=Config("zoo.nn.causal.GatedPixelCNN", kernel=3, channels=16, layers=2),
        ),
        **ON_DIGITS,
        training=adam(20, 50, 2e-3, 0.999, 0.995),
    ),
    Experiment(
        "m1_digits",
        "M1, a dense VAE to put under M2, 8x8 digits",
        Config(M1, latent=8, hidden=(128, 128)),
        **ON_DIGITS,
        training=training(epochs=40, batch_size=50),
    ),
    Experiment(
        "m1_mnist",
        "M1, a dense VAE to put under M2, MNIST",
        Config(M1, latent=40, hidden=(400, 400)),
        **ON_MNIST,
        training=training(epochs=10, batch_size=100, ema=0.999),
    ),
]
