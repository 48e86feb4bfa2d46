"""A likelihood of one's own, for grey images: anything that, called with z, returns p(x | z).

python examples/a_likelihood_of_ones_own.py [--epochs 40]
"""

import argparse

import pyro.distributions as dist
import torch
from torch import nn

import zoo
from zoo.data import Batches, load_data
from zoo.data.encodings import Grid

LATENT, IMAGE, LEVELS = 8, (1, 8, 8), 17


class Binomials(nn.Module):
    """Every pixel's level k ~ Binomial(levels - 1, p), x = 2k / (levels - 1) - 1."""

    takes = "grid"

    def __init__(self, net, image_shape, levels: int):
        super().__init__()
        self.net, self.last = net, levels - 1
        self.project = nn.Conv2d(net.out_shape[0], image_shape[0], 1)

    def forward(self, z):
        counts = dist.Binomial(self.last, logits=self.project(self.net(z)))
        scale = dist.transforms.AffineTransform(-1.0, 2.0 / self.last)
        return OnGrid(counts, scale).to_event(3)


class OnGrid(dist.TorchDistribution):
    """Integer values at the levels of the grid: masses stay what they are."""

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, counts, scale):
        self.counts, self.scale = counts, scale
        super().__init__(counts.batch_shape, validate_args=False)

    def log_prob(self, value):
        return self.counts.log_prob(self.scale.inv(value).round())

    def sample(self, sample_shape=()):
        return self.scale(self.counts.sample(sample_shape))

    @property
    def mean(self):
        return self.scale(self.counts.mean)


LIKELIHOODS = {
    "binomial, our own": lambda net: Binomials(net, IMAGE, LEVELS),
    "one logistic": lambda net: zoo.LogisticLikelihood(net, IMAGE, levels=LEVELS),
    "5 logistics": lambda net: zoo.LogisticMixtureLikelihood(net, IMAGE, components=5, levels=LEVELS),
}


def main(epochs: int) -> None:
    digits = load_data("digits")
    train = Batches(digits.train, 100, encoding=Grid(), levels=digits.levels)
    test = Grid()(digits.test, digits.levels)
    for name, likelihood in LIKELIHOODS.items():
        torch.manual_seed(0)
        net = zoo.ConvDecoder(LATENT, IMAGE, channels=8)
        model = zoo.VAE(zoo.StandardNormal(LATENT), likelihood(net))
        guide = zoo.AmortizedGuide(zoo.NormalHead(zoo.ConvEncoder(IMAGE, channels=8), LATENT))
        zoo.fit(model, guide, zoo.ELBO(), train, epochs=epochs, learning_rate=5e-3)
        result = zoo.log_likelihood(model, guide, test, k=50)
        print(f"{name:18s} log p(x) {result.mean:.1f} nats, {result.bits_per_dim:.3f} bits a pixel")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
