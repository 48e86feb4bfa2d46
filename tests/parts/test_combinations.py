"""Any prior with any guide, any likelihood and any objective: one table, built by product.

A combination builds, shares its sites, trains a step and samples; those tried hold every pair of choices. On
a model whose evidence is known, every guide obeys ELBO <= L_K <= log p(x).
"""

import itertools
from typing import Any

import pyro.poutine as poutine
import pytest
import torch
from torch import nn

from flows import builders
from tests.catalogue import IMAGE, images, logistic_mixture
from tests.contracts import seeded, standard_errors
from tests.linear_gaussian import one_layer
from zoo import (
    ELBO,
    VAE,
    AmortizedGuide,
    AutoregressiveLikelihood,
    BernoulliLikelihood,
    Bernoullis,
    CapacityELBO,
    ContinuousBernoulliLikelihood,
    ConvDecoder,
    ConvEncoder,
    DReG,
    FullCovarianceHead,
    GatedPixelCNN,
    GaussianLikelihood,
    ImportanceWeighted,
    LearnedNormal,
    LogisticLikelihood,
    MixtureOfGaussians,
    MutualPosteriorDivergence,
    NormalHead,
    Renyi,
    SemiAmortizedGuide,
    SoftFreeBits,
    StandardNormal,
    StickingTheLanding,
    VampPrior,
    VRMax,
    log_likelihood,
    sample,
    transformed,
)
from zoo.parts.posteriors import householder_posterior, normal_with_flow, sylvester_posterior

LATENT = 4


def encoder():
    return ConvEncoder(IMAGE, channels=3, strides=(2, 2))


def normal():
    return NormalHead(encoder(), LATENT)


def with_flow(make: Any, **options: Any):
    return lambda: transformed(normal(), make(LATENT, **options))


HEADS = {
    "normal": normal,
    "full covariance": lambda: FullCovarianceHead(encoder(), LATENT),
    "planar": with_flow(builders.planar, layers=2),
    "planar of a context": lambda: normal_with_flow(
        encoder(), LATENT, builders.planar(LATENT, layers=2, context=3)
    ),
    "householder": lambda: householder_posterior(encoder(), LATENT, reflections=2, context=3),
    "sylvester": lambda: sylvester_posterior(encoder(), LATENT, layers=1, columns=2, context=3),
    "couplings": with_flow(builders.real_nvp, layers=1, hidden=(5,)),
    "iaf": lambda: normal_with_flow(
        encoder(), LATENT, builders.iaf(LATENT, layers=1, hidden=(5,), context=3)
    ),
}
GUIDES = {name: (lambda model, head: AmortizedGuide(head)) for name in HEADS} | {
    "semi-amortised": lambda model, head: SemiAmortizedGuide(head, model=model, steps=2)
}
PRIORS = {
    "standard": lambda head: StandardNormal(LATENT),
    "learned": lambda head: LearnedNormal(LATENT),
    "mixture": lambda head: MixtureOfGaussians(LATENT, components=3),
    "vamp": lambda head: VampPrior(LATENT, posterior=head, image_shape=IMAGE, num_pseudo_inputs=3),
    "flow": lambda head: transformed(StandardNormal(LATENT), builders.maf(LATENT, layers=1, hidden=(5,))),
}


def pixelcnn(decoder, shape):
    network = GatedPixelCNN(shape, 1, channels=4, layers=2, kernel=3, head=4, context=decoder.out_shape)
    return AutoregressiveLikelihood(network, Bernoullis(1), net=decoder)


LIKELIHOODS = {
    "continuous bernoulli": ContinuousBernoulliLikelihood,
    "gaussian": GaussianLikelihood,
    "gaussian of a fixed scale": lambda net, shape: GaussianLikelihood(net, shape, scale=0.3),
    "logistic": lambda net, shape: LogisticLikelihood(net, shape, levels=4),
    "bernoulli": BernoulliLikelihood,
    "logistic mixture": logistic_mixture,
    "autoregressive": pixelcnn,
}
OBJECTIVES = {
    "elbo": ELBO(),
    "beta, free bits": ELBO(2, beta=4.0, free_bits=0.5),
    "capacity": CapacityELBO(),
    "soft free bits": SoftFreeBits(),
    "iwae": ImportanceWeighted(3),
    "dreg": DReG(3),
    "sticking the landing": StickingTheLanding(2),
    "renyi": Renyi(3, 0.5),
    "vr-max": VRMax(3),
    "mae": MutualPosteriorDivergence(),
}
FLOWS = ("planar", "planar of a context", "householder", "sylvester", "couplings", "iaf")


def makes_sense(prior, guide, likelihood, objective):
    """A VampPrior mixes normals; MAE is of posteriors with a normal of independent values behind them."""
    if prior == "vamp" and guide in FLOWS:
        return False
    return not (objective == "mae" and guide == "full covariance")


ALL = [c for c in itertools.product(PRIORS, GUIDES, LIKELIHOODS, OBJECTIVES) if makes_sense(*c)]


def choices(combination):
    """Every pair of choices in a combination."""
    return set(itertools.combinations(enumerate(combination), 2))


def covering(combinations):
    """Few of the combinations that hold every pair of choices: greedily, those with most new pairs."""
    missing, chosen = set().union(*map(choices, combinations)), []
    while missing:
        best = max(combinations, key=lambda c: len(choices(c) & missing))
        chosen.append(best)
        missing -= choices(best)
    return chosen


COVERING = covering(ALL)


def built(prior, guide, likelihood):
    torch.manual_seed(0)
    head = HEADS.get(guide, normal)()
    decoder = ConvDecoder(LATENT, IMAGE, channels=3, strides=(2, 2))
    model = VAE(PRIORS[prior](head), LIKELIHOODS[likelihood](decoder, IMAGE))
    return model, GUIDES[guide](model, head)


@pytest.mark.parametrize("combination", COVERING, ids=", ".join)
def test_a_combination_builds_shares_sites_trains_and_samples(combination):
    *parts, objective = combination
    model, guide = built(*parts)
    x = images(dtype=torch.float32)
    x = 2 * x - 1 if model.takes == "grid" else x
    latents = [
        {n: trace.nodes[n]["value"].shape for n in trace.stochastic_nodes}
        for trace in (poutine.trace(program).get_trace(x) for program in (model, guide))
    ]
    assert latents[0] == latents[1] == {"z": (3, LATENT)}
    loss = OBJECTIVES[objective](model, guide).train()
    optimizer = torch.optim.SGD(loss.parameters(), lr=1e-4)
    before = [p.detach().clone() for p in loss.parameters()]
    value = seeded(loss, x)
    value.backward()
    assert value.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in loss.parameters())
    optimizer.step()
    moved = [bool((a != b).any()) for a, b in zip(before, loss.parameters(), strict=True)]
    assert sum(moved) >= 0.7 * len(moved)
    assert sample(model, 2).shape == (2, *IMAGE)


# On a model whose evidence is known


class Encoder(nn.Module):
    """An image of the toy, flat."""

    out_shape = (3,)

    def forward(self, x):
        return x.flatten(1)


def toy_heads():
    flow = builders.iaf(2, layers=1, hidden=(5,), context=3)
    return {
        "normal": NormalHead(Encoder(), 2),
        "full covariance": FullCovarianceHead(Encoder(), 2),
        "planar": transformed(NormalHead(Encoder(), 2), builders.planar(2, layers=2)),
        "householder": householder_posterior(Encoder(), 2, reflections=2, context=3),
        "sylvester": sylvester_posterior(Encoder(), 2, layers=1, context=3),
        "couplings": transformed(NormalHead(Encoder(), 2), builders.real_nvp(2, layers=1, hidden=(5,))),
        "iaf": normal_with_flow(Encoder(), 2, flow),
        "semi-amortised": NormalHead(Encoder(), 2),
    }


def bound(k, model, guide):
    """L_k, mean over the images."""
    loss = ImportanceWeighted(k)(model, guide).eval()
    return lambda x: -loss(x).detach()


@pytest.mark.parametrize("name", toy_heads())
def test_bounds_are_ordered_below_the_evidence(name):
    torch.manual_seed(0)
    model, x = one_layer(), one_layer().images()
    head = toy_heads()[name].double()
    guide: Any = AmortizedGuide(head, site="z_1")
    if name == "semi-amortised":
        guide = SemiAmortizedGuide(head, model=model, site="z_1", steps=3)
    many, exact = x.repeat(300, 1, 1, 1), model.log_evidence(x).mean()
    bounds = {
        k: torch.stack([seeded(bound(k, model, guide), many, seed=seed) for seed in range(4)])
        for k in (1, 4, 16)
    }
    assert bounds[1].mean() < bounds[4].mean() < bounds[16].mean() < exact
    assert standard_errors(bounds[16], exact) < -3
    estimate = log_likelihood(model, guide, x, 2000, seed=0)
    assert ((estimate.log_likelihood - model.log_evidence(x)) / estimate.sampling_stderr).max() < 4
