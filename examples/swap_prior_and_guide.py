"""The same VAE with another prior, another guide and another objective: each swap is one argument.

python examples/swap_prior_and_guide.py [--epochs 40]
"""

import argparse

import pyro.distributions as dist
import torch
from torch import nn

import zoo
from flows import AffineCoupling
from zoo.data import Batches, Binary, load_data

LATENT, IMAGE = 8, (1, 8, 8)


class MixturePrior(nn.Module):
    """A prior of one's own: anything that, called with nothing, returns a distribution over z."""

    def __init__(self, components: int, latent: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, latent))

    def forward(self):
        weights = dist.Categorical(logits=self.logits)
        return dist.MixtureSameFamily(weights, dist.Normal(self.loc, 1.0).to_event(1))


def parts():
    posterior = zoo.NormalHead(zoo.ConvEncoder(IMAGE, channels=16), LATENT)
    likelihood = zoo.BernoulliLikelihood(zoo.ConvDecoder(LATENT, IMAGE, channels=16), IMAGE)
    return posterior, likelihood


def couplings():
    return [AffineCoupling(LATENT, hidden=(32,)), AffineCoupling(LATENT, hidden=(32,), flip=True)]


def standard():
    posterior, likelihood = parts()
    return zoo.VAE(zoo.StandardNormal(LATENT), likelihood), zoo.AmortizedGuide(posterior), zoo.ELBO()


def mixture_prior():
    posterior, likelihood = parts()
    return zoo.VAE(MixturePrior(10, LATENT), likelihood), zoo.AmortizedGuide(posterior), zoo.ELBO()


def flow_prior():
    posterior, likelihood = parts()
    prior = zoo.transformed(zoo.StandardNormal(LATENT), couplings())
    return zoo.VAE(prior, likelihood), zoo.AmortizedGuide(posterior), zoo.ELBO()


def flow_guide():
    posterior, likelihood = parts()
    guide = zoo.AmortizedGuide(zoo.transformed(posterior, couplings()))
    return zoo.VAE(zoo.StandardNormal(LATENT), likelihood), guide, zoo.ELBO()


def importance_weighted():
    model, guide, _ = standard()
    return model, guide, zoo.ImportanceWeighted(k=10)


def main(epochs: int) -> None:
    digits = load_data("digits")
    train = Batches(digits.train, 100, encoding=Binary(), levels=digits.levels)
    test = Binary()(digits.binarized(seed=0).test, levels=2)
    for pair in (standard, mixture_prior, flow_prior, flow_guide, importance_weighted):
        torch.manual_seed(0)
        model, guide, objective = pair()
        zoo.fit(model, guide, objective, train, epochs=epochs, learning_rate=5e-3)
        result = zoo.log_likelihood(model, guide, test, k=100)
        elbo, name = result.elbo.mean(), pair.__name__
        print(f"{name:20s} ELBO {elbo:.2f}  log p(x) {result.mean:.2f} +- {result.stderr:.2f} nats")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
