"""A guide of one's own, beside those of the library: a head is whatever, called with x, returns q(z | x).

python examples/a_guide_of_ones_own.py [--epochs 40]
"""

import argparse

import pyro.distributions as dist
import torch
from torch import nn

import zoo
from flows import builders
from zoo.data import Batches, Binary, load_data

LATENT, IMAGE = 8, (1, 8, 8)


class LowRank(nn.Module):
    """N(loc(x), diag(scale(x)^2) + w(x) w(x)^T): one direction in which the latents go together."""

    def __init__(self, net, latent: int):
        super().__init__()
        features = net.out_shape[0] * net.out_shape[1] * net.out_shape[2]
        self.net = nn.Sequential(net, nn.Flatten(), nn.Linear(features, 3 * latent))

    def forward(self, x):
        loc, raw, w = self.net(x).chunk(3, dim=1)
        return dist.LowRankMultivariateNormal(loc, w.unsqueeze(-1), nn.functional.softplus(raw) + 1e-3)


def encoder():
    return zoo.ConvEncoder(IMAGE, channels=8)


def planar():
    return zoo.transformed(zoo.NormalHead(encoder(), LATENT), builders.planar(LATENT, layers=4))


GUIDES = {
    "normal": lambda model: zoo.AmortizedGuide(zoo.NormalHead(encoder(), LATENT)),
    "low rank, our own": lambda model: zoo.AmortizedGuide(LowRank(encoder(), LATENT)),
    "full covariance": lambda model: zoo.AmortizedGuide(zoo.FullCovarianceHead(encoder(), LATENT)),
    "planar flow": lambda model: zoo.AmortizedGuide(planar()),
    "refined by 3 steps": lambda model: zoo.SemiAmortizedGuide(
        zoo.NormalHead(encoder(), LATENT), model=model, steps=3
    ),
}


def main(epochs: int) -> None:
    digits = load_data("digits")
    train = Batches(digits.train, 100, encoding=Binary(), levels=digits.levels)
    test = Binary()(digits.binarized(seed=0).test, levels=2)
    for name, guide_for in GUIDES.items():
        torch.manual_seed(0)
        likelihood = zoo.BernoulliLikelihood(zoo.ConvDecoder(LATENT, IMAGE, channels=8), IMAGE)
        model = zoo.VAE(zoo.StandardNormal(LATENT), likelihood)
        guide = guide_for(model)
        zoo.fit(model, guide, zoo.ELBO(), train, epochs=epochs, learning_rate=5e-3)
        result = zoo.log_likelihood(model, guide, test, k=50)
        gap = result.mean - result.elbo.mean()
        print(f"{name:18s} log p(x) {result.mean:.2f} +- {result.stderr:.2f} nats, {gap:.2f} above the ELBO")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
