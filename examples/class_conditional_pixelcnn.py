"""A Gated PixelCNN of digits given their class, and what it makes of half an image.

p(x | c) = prod_i p(x_i | x_<i, c)

python examples/class_conditional_pixelcnn.py [--epochs 30]
"""

import argparse
import math
from functools import partial

import pyro
import torch
from torch import nn

import zoo
from zoo.analysis.pictures import save_grid
from zoo.data import load_data

SHAPE, CLASSES = (1, 8, 8), 10


class Digits(zoo.Program):
    """The model: p(x | c), c a class a row."""

    def __init__(self):
        super().__init__()
        network = zoo.GatedPixelCNN(SHAPE, features=1, channels=24, layers=5, context=16)
        embedding = nn.Embedding(CLASSES, 16)
        self.likelihood = zoo.AutoregressiveLikelihood(network, zoo.Bernoullis(1), net=embedding)

    def forward(self, classes, x=None, *, n=None):
        with zoo.batch_plate():
            return pyro.sample("x", self.likelihood(classes), obs=x)


def train(model, x, classes, epochs: int) -> None:
    """Maximum likelihood: nothing is latent, so a plain loop will do."""
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(50):
            optimiser.zero_grad()
            (-model.likelihood(classes[rows]).log_prob(x[rows]).mean()).backward()
            optimiser.step()


@torch.no_grad()
def log_probs(model, x):
    """Log p(x | c) of every image and class, (N, 10)."""
    classes = torch.arange(CLASSES).expand(len(x), -1)
    return torch.stack([model.likelihood(c).log_prob(x) for c in classes.unbind(1)], dim=1)


def main(epochs: int, out: str | None) -> None:
    torch.manual_seed(0)
    data = load_data("digits").thresholded()
    test, labels = data.test.float(), data.test_labels
    model = Digits()
    train(model, data.train.float(), data.train_labels, epochs)
    model.eval()
    each = log_probs(model, test)
    own = each.gather(1, labels[:, None])
    print(
        f"log p(x)     {(each.logsumexp(1) - math.log(CLASSES)).mean():7.2f} nats, classes equally frequent"
    )
    print(f"log p(x | c) {own.mean():7.2f} nats, c its own class")
    print(f"the most probable class is right for {(each.argmax(1) == labels).float().mean():.0%}")

    # Ten rows of samples, one a class; then the upper half of one zero, completed as every class.
    classes = torch.arange(CLASSES).repeat_interleave(8)
    given = partial(model, classes)
    zero = test[labels == 0][:1].expand(len(classes), *SHAPE)
    upper = torch.arange(8)[:, None] < 4
    samples = zoo.sample(given, len(classes), temperature=0.7)
    completed = zoo.complete(given, zero, upper, temperature=0.7)
    if out:
        print(f"wrote {save_grid(torch.cat([samples, completed]), out, columns=8)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", help="a PNG of the samples and completions")
    options = parser.parse_args()
    main(options.epochs, options.out)
