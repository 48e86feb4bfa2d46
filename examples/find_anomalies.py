"""Images of another kind, found by a hierarchy of latents: digits against noise, negatives and mirror images.

python examples/find_anomalies.py [--epochs 8] [--picture scores.png]
"""

import argparse

import torch

import zoo
from zoo.analysis.anomaly import compare
from zoo.analysis.pictures import save_grid
from zoo.data import Batches, Binary, load_data

IMAGE = (1, 8, 8)


def anomalies(digits):
    """Sets of images as far from digits as one likes."""
    generator = torch.Generator().manual_seed(0)
    return {
        "noise": torch.rand(digits.shape, generator=generator).round(),
        "negatives": 1 - digits,
        "mirrored": digits.flip(-1),  # a mirrored 0 or 8 is a digit still
        "transposed": digits.mT,
    }


def main(epochs: int, picture: str | None) -> None:
    torch.manual_seed(0)
    digits = load_data("digits").thresholded()
    train = Batches(digits.train, 50, encoding=Binary(), levels=2)
    test = Binary()(digits.test, levels=2)[:100]

    system = zoo.build("biva_digits", IMAGE, latents=(8, 4, 2), filters=8, blocks=1)
    model, guide = system.model, system.guide
    zoo.fit(model, guide, zoo.ELBO(free_bits=0.5), train, epochs=epochs, learning_rate=1e-2)
    result = zoo.log_likelihood(model, guide, test, k=20)
    print(f"log p(x) {result.mean:.2f} +- {result.stderr:.2f} nats")

    # L>k: minus the bound with the layers up to k drawn from the prior; LLR>k: what that costs
    reports = [
        compare(model, guide, test, x, names=("digits", name), samples=5, seed=0)
        for name, x in anomalies(test).items()
    ]
    for report in reports:
        print(f"\n{report.table()}")
    if picture:
        save_grid(torch.cat([report.plots() for report in reports]), picture, columns=5, scale=1)

    # what the layers above k know of an image: the others are drawn anew
    for k in range(4):
        redrawn = zoo.resample(model, guide, test, below=k)
        print(f"redrawn up to layer {k}: {(redrawn - test).square().mean():.3f} squared error a pixel")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--picture", metavar="FILE", help="histograms of the scores, PNG")
    arguments = parser.parse_args()
    main(arguments.epochs, arguments.picture)
