"""The networks of IWAE with its bound and with the ELBO, of one and of two stochastic layers.

With the ELBO also under posteriors that are no product of normals, everything else being equal.
"""

from typing import Any

from zoo.experiments.experiment import Experiment
from zoo.experiments.recipes import DIGITS, MNIST, elbo, training
from zoo.settings import Config

IWAE = "zoo.models.iwae.iwae"
TWO_LAYERS: dict[str, Any] = {"latents": (100, 50), "hidden": (200, 100)}


def importance_weighted(k: int) -> Config:
    """The bound of k samples."""
    return Config("zoo.infer.objectives.ImportanceWeighted", k=k)


def paper(objective: Config) -> dict[str, Any]:
    """arXiv:1509.00519: 3^i epochs at 1e-3 10^(-i/7), i = 0 ... 7; here the rate falls as far, steadily."""
    steps = 3280 * 3000
    decay = 0.1 ** (1 / steps)
    recipe = training(
        epochs=3280, batch_size=20, optimizer="adam", learning_rate=1e-3, learning_rate_decay=decay
    )
    return {**MNIST, "objective": objective, "training": recipe}


# the published code's start of the output at the mean image
AT_MEAN = Config("zoo.parts.likelihoods.BernoulliLikelihood", starts_at_images=True)

ON_DIGITS: dict[str, Any] = {**DIGITS, "training": training(epochs=70, batch_size=50)}
MNIST_RECIPE: dict[str, Any] = {
    "epochs": 20,
    "batch_size": 100,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "ema": 0.999,
}
ON_MNIST: dict[str, Any] = {**MNIST, "training": training(**MNIST_RECIPE)}

POSTERIORS = {
    "full": ("full covariance", "heads.FullCovarianceHead"),
    "householder": ("Householder", "posteriors.householder_posterior"),
    "planar": ("planar", "posteriors.planar_posterior"),
    "sylvester": ("Sylvester", "posteriors.sylvester_posterior"),
    "iaf": ("IAF", "posteriors.iaf_posterior"),
}


def with_posterior(name: str) -> list[Experiment]:
    """The dense VAE with one of these posteriors, on both data sets."""
    called, target = POSTERIORS[name]
    posterior = Config(f"zoo.parts.{target}")
    return [
        Experiment(
            f"vae_mlp_{name}_digits",
            f"dense VAE of IWAE's networks, {called} posterior, 8x8 digits",
            Config(IWAE, latents=(16,), hidden=(100,), posterior=posterior),
            **ON_DIGITS,
            objective=elbo(),
        ),
        Experiment(
            f"vae_mlp_{name}_mnist",
            f"dense VAE of IWAE's networks, {called} posterior, dynamically binarised MNIST",
            Config(IWAE, posterior=posterior),
            **ON_MNIST,
            objective=elbo(),
        ),
    ]


AUXILIARY = "zoo.models.auxiliary_vae.auxiliary_vae"

EXPERIMENTS = [
    Experiment(
        "vae_auxiliary_digits",
        "dense VAE of IWAE's networks, auxiliary variable in the guide, 8x8 digits",
        Config(AUXILIARY, latent=16, auxiliary=16, hidden=100),
        **ON_DIGITS,
        objective=elbo(),
    ),
    Experiment(
        "vae_auxiliary_mnist",
        "dense VAE of IWAE's networks, auxiliary variable in the guide, dynamically binarised MNIST",
        Config(AUXILIARY),
        **MNIST,
        objective=elbo(warmup=3000),  # without the warm-up and the clipping both latents collapse
        training=training(clip=50.0, **MNIST_RECIPE),
    ),
    *(experiment for name in POSTERIORS for experiment in with_posterior(name)),
    Experiment(
        "vae_mlp_digits",
        "dense VAE of IWAE's networks, 8x8 digits",
        Config(IWAE, latents=(16,), hidden=(100,)),
        **ON_DIGITS,
        objective=elbo(),
    ),
    Experiment(
        "iwae_digits",
        "IWAE of one stochastic layer, k=10, 8x8 digits",
        Config(IWAE, latents=(16,), hidden=(100,)),
        **ON_DIGITS,
        objective=importance_weighted(10),
    ),
    Experiment(
        "vae_mlp_mnist",
        "dense VAE of IWAE's networks, dynamically binarised MNIST",
        Config(IWAE),
        **ON_MNIST,
        objective=elbo(),
    ),
    Experiment(
        "iwae_mnist",
        "IWAE of one stochastic layer, k=50, dynamically binarised MNIST",
        Config(IWAE),
        **ON_MNIST,
        objective=importance_weighted(50),
    ),
    Experiment(
        "iwae2_mnist",
        "IWAE of two stochastic layers, k=50, dynamically binarised MNIST",
        Config(IWAE, **TWO_LAYERS),
        **ON_MNIST,
        objective=importance_weighted(50),
    ),
    Experiment(
        "vae_mlp_mnist_paper",
        "dense VAE of IWAE's networks with the paper's recipe",
        Config(IWAE, likelihood=AT_MEAN),
        **paper(elbo()),
        paper="86.76 nats, dynamic MNIST",
    ),
    Experiment(
        "iwae_mnist_paper",
        "IWAE of one stochastic layer, k=50, with the paper's recipe",
        Config(IWAE, likelihood=AT_MEAN),
        **paper(importance_weighted(50)),
        paper="84.78 nats, dynamic MNIST, 25 active units",
    ),
    Experiment(
        "iwae2_mnist_paper",
        "IWAE of two stochastic layers, k=50, with the paper's recipe",
        Config(IWAE, likelihood=AT_MEAN, **TWO_LAYERS),
        **paper(importance_weighted(50)),
        paper="82.90 nats, dynamic MNIST",
    ),
]
