"""An objective of one's own, beside those of the library: what is trained changes, what is reported does not.

python examples/an_objective_of_ones_own.py [--epochs 40]
"""

import argparse

import torch

import zoo
from zoo.data import Batches, Binary, load_data
from zoo.infer.objectives import Bound, monte_carlo

LATENT, IMAGE = 8, (1, 8, 8)


class Half(zoo.Renyi):
    """Halfway between the ELBO and the importance-weighted bound of the same samples: a lower bound too."""

    def bound(self, log_w):
        iwae = log_w.logsumexp(0) - torch.tensor(float(self.k)).log()
        return (log_w.mean(0) + iwae) / 2


class Cyclical(zoo.ELBO):
    """The KL's factor rises anew every 200 steps (arXiv:1903.10145)."""

    def beta_at(self, step):
        return min(1.0, 2 * (step % 200) / 200)


class Worst(Bound):
    """A loss from scratch: the mean over the half of the batch that the model explains worst."""

    def __init__(self, model, guide):
        super().__init__(model, guide, k=1, kl=monte_carlo)

    def forward(self, x):
        elbo = self.terms(x).elbo()[0]
        return -(elbo.topk(len(x) // 2, largest=False).values if self.training else elbo).mean()


OBJECTIVES = {
    "ELBO": zoo.ELBO(),
    "cyclical, our own": Cyclical(),
    "worst half, our own": Worst,
    "half way, our own": Half(5),
    "DReG": zoo.DReG(5),
}


def main(epochs: int) -> None:
    digits = load_data("digits")
    train = Batches(digits.train, 100, encoding=Binary(), levels=digits.levels)
    test = Binary()(digits.binarized(seed=0).test, levels=2)
    for name, objective in OBJECTIVES.items():
        torch.manual_seed(0)
        likelihood = zoo.BernoulliLikelihood(zoo.ConvDecoder(LATENT, IMAGE, channels=8), IMAGE)
        model = zoo.VAE(zoo.StandardNormal(LATENT), likelihood)
        guide = zoo.AmortizedGuide(zoo.NormalHead(zoo.ConvEncoder(IMAGE, channels=8), LATENT))
        zoo.fit(model, guide, objective, train, epochs=epochs, learning_rate=5e-3)
        result = zoo.log_likelihood(model, guide, test, k=50)
        print(f"{name:20s} ELBO {result.elbo.mean():.2f}  log p(x) {result.mean:.2f} +- {result.stderr:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
