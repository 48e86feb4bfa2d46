"""A prior of one's own, beside those of the library: anything that, called with nothing, returns p(z).

python examples/a_prior_of_ones_own.py [--epochs 40]
"""

import argparse

import pyro.distributions as dist
import torch
from torch import nn

import zoo
from zoo.data import Batches, Binary, load_data

LATENT, IMAGE = 8, (1, 8, 8)


class HeavyTails(nn.Module):
    """Student's t with learned degrees of freedom, at least 2."""

    def __init__(self, latent: int):
        super().__init__()
        self.raw = nn.Parameter(torch.ones(latent))

    def forward(self):
        degrees = 2 + nn.functional.softplus(self.raw)
        return dist.StudentT(degrees, torch.zeros_like(degrees), 1.0).to_event(1)


PRIORS = {
    "standard normal": lambda head: zoo.StandardNormal(LATENT),
    "heavy tails": lambda head: HeavyTails(LATENT),
    "10 Gaussians": lambda head: zoo.MixtureOfGaussians(LATENT),
    # made of the guide's own head, at 50 learned images
    "VampPrior": lambda head: zoo.VampPrior(LATENT, posterior=head, image_shape=IMAGE, num_pseudo_inputs=50),
}


def main(epochs: int) -> None:
    digits = load_data("digits")
    train = Batches(digits.train, 100, encoding=Binary(), levels=digits.levels)
    test = Binary()(digits.binarized(seed=0).test, levels=2)
    for name, prior in PRIORS.items():
        torch.manual_seed(0)
        head = zoo.NormalHead(zoo.ConvEncoder(IMAGE, channels=8), LATENT)
        likelihood = zoo.BernoulliLikelihood(zoo.ConvDecoder(LATENT, IMAGE, channels=8), IMAGE)
        model, guide = zoo.VAE(prior(head), likelihood), zoo.AmortizedGuide(head)
        zoo.fit(model, guide, zoo.ELBO(), train, epochs=epochs, learning_rate=5e-3)
        result = zoo.log_likelihood(model, guide, test, k=50)
        print(f"{name:16s} log p(x) {result.mean:.2f} +- {result.stderr:.2f} nats")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
