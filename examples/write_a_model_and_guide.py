"""A hierarchical model of one's own and a guide that merges with its prior, a Ladder VAE in miniature.

p(x, z_1, z_2) = p(x | z_1) p(z_1 | z_2) p(z_2)
q(z_1, z_2 | x) = q(z_2 | x) q(z_1 | x, z_2),  q(z_1 | x, z_2) the product of the prior and q(z_1 | x)

python examples/write_a_model_and_guide.py [--epochs 40]
"""

import argparse

import pyro
import pyro.distributions as dist
import torch
from torch import nn

import zoo
from distributions import PrecisionWeightedNormal
from zoo.data import Batches, Binary, load_data
from zoo.nn.layers import Shaped


def mlp(inputs: int, outputs: int) -> Shaped:
    return Shaped((outputs,), nn.Flatten(), nn.Linear(inputs, 64), nn.ELU(), nn.Linear(64, outputs), nn.ELU())


class Ladder(zoo.Program):
    """The model: an ordinary Pyro program over images (B, 1, 8, 8)."""

    def __init__(self):
        super().__init__()
        self.prior_2 = zoo.StandardNormal(4)
        self.prior_1 = zoo.NormalHead(mlp(4, 32), latent=8)
        self.decoder = nn.Sequential(mlp(8, 64), nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)))

    def forward(self, x=None, *, n=None):
        with zoo.batch_plate():
            size = len(x) if x is not None else n
            z_2 = zoo.latent("z_2", self.prior_2().expand([size]), layer=2)
            z_1 = zoo.latent("z_1", self.prior_1(z_2), layer=1)
            return pyro.sample("x", dist.Bernoulli(logits=self.decoder(z_1)).to_event(3), obs=x)


class LadderGuide(zoo.Guide):
    """The guide: what depends on x only is computed in `encode`, once, however many samples are drawn."""

    def __init__(self):
        super().__init__()
        self.hidden = mlp(64, 64)
        self.head_1 = zoo.NormalHead(Shaped((64,), nn.Identity()), latent=8)
        self.head_2 = zoo.NormalHead(Shaped((64,), nn.Identity()), latent=4)

    def encode(self, x):
        d = self.hidden(x)
        return {"z_1": self.head_1.encode(d), "z_2": self.head_2.encode(d)}

    def posterior(self, name, prior, h, features):
        if name == "z_2":
            return self.head_2.distribution(features["z_2"])
        from_below = self.head_1.distribution(features["z_1"])
        return PrecisionWeightedNormal(prior, from_below).to_event(1)


def main(epochs: int) -> None:
    torch.manual_seed(0)
    model, guide = Ladder(), LadderGuide()
    digits = load_data("digits")
    train = Batches(digits.train, 100, encoding=Binary(), levels=digits.levels)
    test = Binary()(digits.binarized(seed=0).test, levels=2)
    loss = zoo.ELBO(warmup=200, free_bits=0.1)
    fitted = zoo.fit(model, guide, loss, train, epochs=epochs, learning_rate=5e-3)
    terms = fitted.loss.terms(test)
    for site, kl in terms.kl.items():
        print(f"KL of {site}: {kl.mean():.2f} nats")
    print(f"log p(x) {zoo.log_likelihood(model, guide, test, k=100).mean:.2f} nats")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
