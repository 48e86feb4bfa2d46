"""A plain Pyro model of one's own, measured by importance sampling, by annealing and from both sides.

z ~ N(0, I),  x | z ~ N(W z + b, s^2 I): factor analysis, so that log p(x) is known exactly

python examples/three_ways_to_measure.py [--epochs 20]
"""

import argparse

import pyro
import pyro.distributions as dist
import torch
from torch import nn

import zoo
from zoo.data import Batches, Unit, load_data

LATENTS, PIXELS = 6, 64


class FactorAnalysis(nn.Module):
    """The model; nothing here is the zoo's."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(LATENTS, PIXELS)
        self.log_scale = nn.Parameter(torch.tensor(-1.0))

    def forward(self, x):
        with pyro.plate("images", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(len(x), LATENTS), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.net(z), self.log_scale.exp()).to_event(1), obs=x)

    def log_evidence(self, x):
        """N(b, W W^T + s^2 I)."""
        noise = (2 * self.log_scale).exp().expand(PIXELS)
        return dist.LowRankMultivariateNormal(self.net.bias, self.net.weight, noise).log_prob(x)


class MeanField(nn.Module):
    """The guide: independent normals, which the posterior is not."""

    def __init__(self):
        super().__init__()
        self.loc = nn.Linear(PIXELS, LATENTS)
        self.log_scale = nn.Parameter(torch.zeros(LATENTS))

    def forward(self, x):
        with pyro.plate("images", len(x)):
            pyro.sample("z", dist.Normal(self.loc(x), self.log_scale.exp()).to_event(1))


def main(epochs: int) -> None:
    torch.manual_seed(0)
    digits = load_data("digits")
    train = Unit()(digits.train, digits.levels).flatten(1)
    test = Unit()(digits.test, digits.levels).flatten(1)[:20]
    model, guide = FactorAnalysis(), MeanField()
    zoo.fit(model, guide, zoo.ELBO(), Batches(train, 100), epochs=epochs, learning_rate=1e-2)

    importance = zoo.log_likelihood(model, guide, test, k=50, seed=0)
    annealed = zoo.annealed_log_likelihood(model, test, chains=8, steps=100, leapfrog=5)
    bracket = zoo.bracket_log_likelihood(model, test, chains=8, steps=100, leapfrog=5)
    with torch.no_grad():
        exact, simulated = model.log_evidence(test).mean(), model.log_evidence(bracket.images).mean()
    print(f"log p(x), exact               {exact:8.3f} nats an image")
    print(f"importance sampling, K = 50   {importance.mean:8.3f}, Pareto k {importance.pareto_k.mean():.2f}")
    print(f"annealing from the prior      {annealed.mean:8.3f}, acceptance {annealed.acceptance.mean():.2f}")
    below, above = bracket.lower.mean, bracket.upper.mean()
    print(f"simulated images              {below:8.3f} < {simulated:.3f} < {above:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    main(parser.parse_args().epochs)
