"""BIVA, LVAE+, LVAE and a bottom-up VAE of the same three stages: what each layer of them says of a digit.

L^{>k} leaves the layers up to k to the prior; the further it is below the ELBO, the more those layers knew.

python examples/hierarchies.py [--epochs 40]
"""

import argparse

import torch

import zoo
from zoo.analysis.pictures import save_grid
from zoo.data import Batches, Binary, load_data
from zoo.models.biva import Stage, biva
from zoo.models.hierarchical_vae import hierarchical_vae
from zoo.models.ladder_vae import ladder_vae, lvae

STAGES = [
    Stage(8, filters=8, stride=2, blocks=1),
    Stage(6, filters=8, blocks=1),
    Stage(4, filters=8, blocks=1),
]
PAIRS = {
    "BIVA": lambda shape: biva(shape, STAGES),
    "LVAE+": lambda shape: lvae(shape, STAGES),
    "LVAE": lambda shape: lvae(shape, STAGES, skips=False),
    "Ladder VAE": lambda shape: ladder_vae(shape, STAGES),
    "bottom-up VAE": lambda shape: hierarchical_vae(shape, STAGES),
}


def trained(name: str, train: Batches, epochs: int):
    """A pair of that name, half of its training with free bits."""
    torch.manual_seed(0)
    model, guide = PAIRS[name]((1, 8, 8))
    for objective in (zoo.ELBO(free_bits=1.0), zoo.ELBO()):
        zoo.fit(model, guide, objective, train, epochs=(epochs + 1) // 2, learning_rate=1e-2)
    return model, guide


def main(epochs: int) -> None:
    digits = load_data("digits")
    train = Batches(digits.train, 100, encoding=Binary(), levels=digits.levels)
    test = Binary()(digits.binarized(seed=0).test, levels=2)
    for name in PAIRS:
        model, guide = trained(name, train, epochs)
        result = zoo.log_likelihood(model, guide, test, k=20, seed=0)
        print(f"{name}: log p(x) {result.mean:.2f} +- {result.stderr:.2f} nats (K = 20)")
        with torch.no_grad():
            kl = zoo.ELBO()(model, guide).eval().terms(test).means()
        print("   KL   ", ", ".join(f"{key[3:]} {kl[key]:.2f}" for key in kl if key.startswith("kl/")))
        bounds = [
            zoo.log_likelihood(model, zoo.above(guide, k), test, 20, seed=0).elbo.mean() for k in (0, 1, 2)
        ]
        print("   L^{>k}", ", ".join(f"k = {k}: {bound:.2f}" for k, bound in enumerate(bounds)))
        if name == "BIVA" and epochs > 1:
            rows = [zoo.resample(model, guide, test[:12], below=k) for k in (0, 1, 2, 3)]
            path = save_grid(torch.cat([test[:12], *rows]), "resampled.png", columns=12, overwrite=True)
            print(f"   digits, and what is left of them when the layers up to k are drawn anew: {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    main(parser.parse_args().epochs)
