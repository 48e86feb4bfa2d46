"""A VAE from its parts, trained on the embedded digits, and what it is worth.

python examples/train_a_vae.py [--epochs 40]
"""

import argparse

import zoo
from zoo.data import Batches, Binary, load_data


def main(epochs: int) -> None:
    image_shape = (1, 8, 8)
    encoder = zoo.NormalHead(zoo.ConvEncoder(image_shape), latent=16)  # q(z | x)
    decoder = zoo.ConvDecoder(16, image_shape)
    likelihood = zoo.BernoulliLikelihood(decoder, image_shape)  # p(x | z)
    model = zoo.VAE(zoo.StandardNormal(16), likelihood)
    guide = zoo.AmortizedGuide(encoder)

    digits = load_data("digits")
    train = Batches(digits.train, 50, encoding=Binary(), levels=digits.levels)  # drawn anew each epoch
    test = Binary()(digits.binarized(seed=0).test, levels=2)  # drawn once

    zoo.fit(model, guide, zoo.ELBO(), train, epochs=epochs, learning_rate=5e-3)
    result = zoo.log_likelihood(model, guide, test, k=100)
    print(f"log p(x) {result.mean:.2f} +- {result.stderr:.2f} nats, {result.bits_per_dim:.3f} bits/dim")
    print(f"effective samples {result.ess.mean():.0f} of 100, Pareto k {result.pareto_k.mean():.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
