"""A VAE whose guide has an auxiliary variable."""

import pyro.distributions as dist
import pytest
import torch
from torch import nn

from tests.catalogue import IMAGE, images
from tests.contracts import dependencies
from tests.linear_gaussian import one_layer
from zoo import (
    ELBO,
    AuxiliaryGuide,
    AuxiliaryVAE,
    NormalHead,
    StandardNormal,
    log_likelihood,
    log_weights,
    sample,
)
from zoo.models.auxiliary_vae import auxiliary_vae
from zoo.nn.dense import dense
from zoo.parts.heads import Features, ImageConditioned


def small():
    torch.manual_seed(0)
    model, guide = auxiliary_vae(IMAGE, latent=3, auxiliary=2, hidden=4)
    return model.double(), guide.double()


def test_dependencies_are_those_of_the_factorisation():
    model, guide = small()
    assert dependencies(model, guide, images()) == {
        "q(a)": {"x"},
        "q(z)": {"x", "a"},
        "p(z)": set(),
        "p(x)": {"z"},
        "p(a)": {"x", "z"},
    }


class Linear(nn.Module):
    """The likelihood of the one-layer toy."""

    def __init__(self, law):
        super().__init__()
        self.law = law

    def forward(self, z):
        loc = (z @ self.law.maps["x"].T).reshape(-1, *self.law.shape)
        return dist.Normal(loc, self.law.noise).to_event(3)


@pytest.mark.parametrize("width", [1, 3])
def test_the_evidence_is_that_of_the_model_without_the_auxiliary_variable(width):
    """Whatever p(a | x, z), q(a | x) and q(z | a, x) are."""
    torch.manual_seed(0)
    law, features = one_layer(), dense((1, 1, 3), (4,))
    of_a = ImageConditioned(dense((1, 1, 3), (4,)), NormalHead(dense((6,), (4,)), width))
    model = AuxiliaryVAE(StandardNormal(2), Linear(law), of_a).double()
    of_z = NormalHead(dense((4 + width,), (4,)), 2)
    guide = AuxiliaryGuide(features, NormalHead(Features((4,)), width), {"z": of_z}).double()
    x = law.images() / 4
    found, exact = log_likelihood(model, guide, x, 10_000, seed=0), law.log_evidence(x)
    assert ((found.log_likelihood - exact).abs() < 4 * found.sampling_stderr).all()
    assert (found.elbo < exact).all()
    assert found.sampling_stderr.max() < 0.2


def test_a_latent_without_a_head_is_named():
    model, guide = small()
    guide.heads = nn.ModuleDict({"y": guide.heads["z"]})
    with pytest.raises(ValueError, match="expected a head for the latent 'z' of the model; got heads for y"):
        log_likelihood(model, guide, images(), 2)


def test_chunks_do_not_change_a_weight_and_every_parameter_is_trained():
    model, guide = small()
    x = images()
    one, three = (log_weights(model, guide, x, 6, chunk=chunk, seed=0) for chunk in (1, 3))
    torch.testing.assert_close(one, three, rtol=0, atol=1e-9)
    loss = ELBO()(model, guide)
    loss(x).backward()
    assert all(p.grad.abs().sum() > 0 for p in loss.parameters())
    assert sample(model, 2).shape == (2, *IMAGE)
