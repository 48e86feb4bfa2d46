"""The mixture of normals that is computed by one matrix product."""

import math

import pyro.distributions as dist
import pytest
import torch

from distributions import NormalMixture


def parameters(components=5, event=(3,), batch=()):
    generator = torch.Generator().manual_seed(0)
    shapes = [(*batch, components), (*batch, components, *event), (*batch, components, *event)]
    logits, loc, log_scale = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    return logits, 2 * loc, log_scale.exp()


def pyros(logits, loc, scale):
    components = dist.Normal(loc, scale).to_event(loc.dim() - logits.dim())
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)


CASES = {
    "vector": {},
    "map": {"event": (2, 3, 2)},
    "batch": {"batch": (4,)},
    "scalar": {"event": ()},
    "one component": {"components": 1},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_density_moments_and_gradients_are_pyros(options):
    given = [p.requires_grad_() for p in parameters(**options)]
    ours, theirs = NormalMixture(*given), pyros(*given)
    z = 3 * torch.randn(7, *theirs.batch_shape, *theirs.event_shape, dtype=torch.float64)
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z), rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)
    gradients = [torch.autograd.grad(p.log_prob(z).sum(), given, allow_unused=True) for p in (ours, theirs)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_narrow_components_far_from_zero_are_exact_in_float32():
    """The terms of the product are 1e8 there, and what is left of them about 1."""
    loc = torch.tensor([[10.0, -10.0], [3.0, 4.0]])
    scale = torch.full((2, 2), 1e-3)
    z = loc + scale * torch.tensor([[0.5, -1.0]])
    ours = NormalMixture(torch.zeros(2), loc, scale).log_prob(z)
    exact = pyros(torch.zeros(2).double(), loc.double(), scale.double()).log_prob(z.double())
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=2e-6)


@pytest.mark.parametrize("expanded", [False, True])
def test_components_are_drawn_by_their_weights(expanded):
    """Chi-square of the components that draws come from, far apart as they are."""
    logits = torch.tensor([0.0, 1.0, -1.0, 0.5])
    loc = torch.arange(4.0)[:, None].expand(4, 2) * 100
    p = NormalMixture(logits, loc, torch.ones(4, 2))
    torch.manual_seed(0)
    n = 20_000
    z = p.expand([n]).sample() if expanded else p.sample((n,))
    counts = (z[:, 0] / 100).round().long().bincount(minlength=4)
    expected = n * logits.softmax(0)
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert chi_square < 16.3  # 3 degrees of freedom, p = 0.001
    residual = z - loc[(z[:, 0] / 100).round().long()]
    assert abs(residual.mean().item()) < 4 / math.sqrt(2 * n)
    assert abs(residual.var().item() - 1) < 4 * math.sqrt(2 / (2 * n))


def test_an_expanded_mixture_keeps_its_parameters():
    p = NormalMixture(*parameters())
    q = p.expand([1000])
    assert q.batch_shape == (1000,)
    assert q.loc is p.loc


def test_draws_are_reparameterised_where_the_weights_are_fixed():
    logits, loc, scale = parameters()
    loc.requires_grad_()
    p = NormalMixture(logits, loc, scale)
    assert p.has_rsample
    torch.manual_seed(0)
    z = p.rsample((20_000,))
    (gradient,) = torch.autograd.grad(z.mean(0).sum(), loc)
    torch.testing.assert_close(gradient[:, 0], logits.softmax(0), rtol=0, atol=4 * 0.5 / math.sqrt(20_000))
    assert not NormalMixture(logits.requires_grad_(), loc, scale).has_rsample


def test_parameters_that_do_not_fit_are_refused():
    """One logit would broadcast to weights that sum to 4."""
    loc = torch.zeros(4, 2)
    for logits in (torch.zeros(1), torch.zeros(3), torch.zeros(())):
        with pytest.raises(ValueError, match=r"expected logits \(\*B, C\) and loc \(\*B, C, \*E\); got"):
            NormalMixture(logits, loc, loc.exp())
    with pytest.raises(ValueError, match=r"a scale of loc's shape, \(4, 2\); got \(4, 1\)"):
        NormalMixture(torch.zeros(4), loc, torch.ones(4, 1))
