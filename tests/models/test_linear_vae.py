"""The linear VAE, whose evidence is known."""

import torch

from tests.catalogue import IMAGE, images
from zoo import log_weights
from zoo.models.linear_vae import linear_vae
from zoo.nn.scales import MIN_SCALE


def exact_pair():
    """A linear VAE in float64, W of orthogonal columns, and the exact posterior as its guide."""
    model, guide = linear_vae(IMAGE, latent=3)
    model, guide = model.double(), guide.double()
    p, q = model.likelihood.linear, guide.head.encode[-1]
    with torch.no_grad():
        p.weight.copy_(torch.linalg.qr(p.weight).Q * torch.tensor([0.5, 1.0, 2.0]))
        variance = model.likelihood.scale.square()
        precision = p.weight.square().sum(0) + variance  # W^T W + sigma^2 I, diagonal
        q.weight.copy_(p.weight.T / precision[:, None])
        q.bias.copy_(-q.weight @ p.bias)
        guide.head.raw_scale.copy_(raw((variance / precision).sqrt()))
    return model, guide


def raw(scale):
    """The inverse of `zoo.nn.scales.softplus_scale`."""
    return (scale - MIN_SCALE).expm1().log() - torch.tensor(1.0, dtype=scale.dtype).expm1().log()


def test_every_weight_is_the_evidence_under_the_exact_posterior():
    model, guide = exact_pair()
    x = images()
    weights = log_weights(model, guide, x, k=5)
    torch.testing.assert_close(weights, model.evidence(x).expand_as(weights))


def test_importance_sampling_finds_the_evidence_under_another_guide():
    model, guide = exact_pair()
    with torch.no_grad():
        guide.head.raw_scale += 0.3  # wider than the posterior, so that weights are bounded
        guide.head.encode[-1].bias += 0.05
    x = images()
    torch.manual_seed(0)
    weights = (log_weights(model, guide, x, k=4000) - model.evidence(x)).exp()  # mean 1
    error = weights.std(0) / weights.shape[0] ** 0.5
    assert ((weights.mean(0) - 1).abs() < 5 * error).all()
    assert (error > 1e-4).all()
    assert (weights.log().mean(0) < 0).all()  # the ELBO is below
