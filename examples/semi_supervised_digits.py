"""Digits classified from 50 labels: by a supervised classifier, and by one within a generative model.

python examples/semi_supervised_digits.py [--epochs 40]

Both see the same labelled digits; M2 (arXiv:1406.5298) also learns from 1,400 without labels. In the end it
draws digits of every class.
"""

import argparse

import pyro
import torch
from torch import nn

import zoo
from zoo.data import Batches, Binary, load_data
from zoo.models.m2 import m2
from zoo.nn.dense import dense

CLASSES = 10


def supervised(x: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """The classifier of M2's guide, trained on the labelled images only."""
    features = dense(x.shape[1:], (128, 128))
    classifier = zoo.LabelHead(dense((128,), (128,)), CLASSES)
    network = nn.Sequential(features, classifier)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(300):
        optimizer.zero_grad()
        (-network(x).log_prob(torch.eye(CLASSES)[labels]).mean()).backward()
        optimizer.step()
    return network


def main(epochs: int) -> None:
    torch.manual_seed(0)
    digits = load_data("digits").thresholded()
    few = digits.labelled(50, classes=CLASSES)
    x, y = few.images.float(), torch.eye(CLASSES)[few.labels]
    test = digits.test.float()

    network = supervised(x, few.labels)
    error = (network(test).probs.argmax(1) != digits.test_labels).float().mean()
    print(f"50 labels only:            {error:.1%} of {len(test)} test digits wrong")

    model, guide = m2((1, 8, 8), latent=2, hidden=(128, 128))
    objective = zoo.SemiSupervised(labelled=(x, y), alpha=0.03)
    train = Batches(digits.train, 50, encoding=Binary(), levels=2)
    zoo.fit(model, guide, objective, train, epochs=epochs)
    wrong = zoo.error_rate(model, guide, test, digits.test_labels)
    print(f"and 1,400 digits without:  {wrong:.1%} wrong")

    result = zoo.log_likelihood(model, guide, test, k=100)
    print(f"log p(x) {result.mean:.2f} +- {result.stderr:.2f} nats, {result.bits_per_dim:.3f} bits/dim")

    sevens = pyro.condition(model, data={"y": torch.eye(CLASSES)[[7] * 4]})
    print(zoo.sample(sevens, 4, mean=True)[:, 0].round().int())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
