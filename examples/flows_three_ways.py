"""Flows in three places: the prior of a VAE, its posterior, and a density of images.

python examples/flows_three_ways.py [--epochs 20]
"""

import argparse

import torch

import zoo
from flows import iaf, maf, real_nvp
from zoo.data import Batches, Binary, Unit, load_data
from zoo.models.flow_density import pixel_density
from zoo.parts.posteriors import normal_with_flow

LATENT, CONTEXT, IMAGE = 8, 16, (1, 8, 8)


def parts():
    encoder = zoo.ConvEncoder(IMAGE, channels=16)
    return encoder, zoo.BernoulliLikelihood(zoo.ConvDecoder(LATENT, IMAGE, channels=16), IMAGE)


def as_prior():
    """p(z): masked autoregressive, one pass to score what the guide draws."""
    encoder, likelihood = parts()
    prior = zoo.transformed(zoo.StandardNormal(LATENT), maf(LATENT, layers=2, hidden=(32,)))
    return zoo.VAE(prior, likelihood), zoo.AmortizedGuide(zoo.NormalHead(encoder, LATENT))


def as_posterior():
    """q(z | x): inverse autoregressive, one pass to draw and score; the encoder also gives it a context."""
    encoder, likelihood = parts()
    flow = iaf(LATENT, layers=2, hidden=(32,), context=CONTEXT)
    guide = zoo.AmortizedGuide(normal_with_flow(encoder, LATENT, flow))
    return zoo.VAE(zoo.StandardNormal(LATENT), likelihood), guide


def as_density(levels):
    """p(y) of grey images x, each the bin of a continuous y; the guide draws y by dequantisation."""
    density = pixel_density(real_nvp(IMAGE, layers=1, hidden=(16,)))
    return zoo.FlowDensity(density, levels=levels), zoo.Dequantization(levels)


def report(name, model, guide, train, test, epochs):
    zoo.fit(model, guide, zoo.ELBO(), train, epochs=epochs, learning_rate=5e-3)
    result = zoo.log_likelihood(model, guide, test, k=50)
    print(
        f"{name:10s} log p(x) {result.mean:8.2f} +- {result.stderr:.2f}, {result.bits_per_dim:.3f} bits/dim"
    )


def main(epochs: int) -> None:
    torch.manual_seed(0)
    digits = load_data("digits")
    binary = Batches(digits.train, 100, encoding=Binary(), levels=digits.levels)
    test = Binary()(digits.binarized(seed=0).test, levels=2)
    report("prior", *as_prior(), binary, test, epochs)
    report("posterior", *as_posterior(), binary, test, epochs)

    grey = Batches(digits.train, 100, encoding=Unit(), levels=digits.levels)
    test = Unit()(digits.test, digits.levels)
    report("density", *as_density(digits.levels), grey, test, epochs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    main(parser.parse_args().epochs)
