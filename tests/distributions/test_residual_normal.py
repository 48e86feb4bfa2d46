import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from distributions import PrecisionWeightedNormal, ResidualNormal


def offsets(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, *shape, generator=generator, dtype=dtype)


def plain(p):
    """The same density without our class, so that the ordinary divergence applies."""
    return dist.Normal(p.loc, p.scale)


def test_density_is_the_shifted_and_scaled_reference():
    loc, log_scale, delta, d = offsets(3, 2)
    q = ResidualNormal(dist.Normal(loc, log_scale.exp()), delta, d)
    expected = Normal(loc + delta, (log_scale + d).exp())
    x = q.sample((5,))
    torch.testing.assert_close(q.log_prob(x), expected.log_prob(x))
    assert q.has_rsample


def test_zero_offsets_give_the_reference():
    p = dist.Normal(torch.randn(3), torch.rand(3) + 0.1)
    q = ResidualNormal(p, 0.0, 0.0)
    assert torch.equal(q.loc, p.loc)
    assert torch.equal(q.scale, p.scale)
    assert torch.equal(kl_divergence(q, p), torch.zeros(3))


def test_kl_to_the_reference_is_gaussian():
    loc, log_scale, delta, d = offsets(100)
    p = dist.Normal(loc, log_scale.exp())
    q = ResidualNormal(p, delta, d)
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(plain(q), p), rtol=1e-10, atol=1e-10)


def test_kl_to_the_reference_is_the_papers_formula():
    loc, log_scale, delta, d = offsets(100)
    p = dist.Normal(loc, log_scale.exp())
    expected = 0.5 * (delta**2 / p.scale**2 + (2 * d).exp() - 2 * d - 1)
    torch.testing.assert_close(
        kl_divergence(ResidualNormal(p, delta, d), p), expected, rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("copied", [lambda p: p, lambda p: p.expand((3, 50)), plain])
def test_kl_to_the_reference_does_not_depend_on_its_mean(copied):
    """Also in float32 with a mean that would swallow the offset, and for an expanded copy."""
    _, log_scale, delta, d = offsets(50, dtype=torch.float32)
    kls = []
    for mean in (0.0, 1e6):
        p = dist.Normal(torch.full((50,), mean), log_scale.exp())
        kls.append(kl_divergence(ResidualNormal(p, 1e-3 * delta, d), copied(p)))
    assert torch.equal(*kls)


def test_kl_sends_no_gradient_to_the_references_mean():
    loc, log_scale, delta, d = offsets(50)
    loc.requires_grad_()
    p = dist.Normal(loc, log_scale.exp())
    kl = kl_divergence(ResidualNormal(p, delta.requires_grad_(), d), p).sum()
    (gradient,) = torch.autograd.grad(kl, loc, allow_unused=True)
    assert gradient is None


def test_kl_to_another_normal_is_gaussian():
    loc, log_scale, delta, d = offsets(100)
    q = ResidualNormal(dist.Normal(loc, log_scale.exp()), delta, d)
    for other in (dist.Normal(d, delta.exp()), dist.Normal(0.0, 1.0), Normal(d, delta.exp())):
        torch.testing.assert_close(
            kl_divergence(q, other), kl_divergence(plain(q), other), rtol=1e-10, atol=1e-10
        )


def test_kl_is_found_without_ambiguity():
    """Warnings are errors; each pair of normals must dispatch."""
    p = dist.Normal(torch.zeros(2), torch.ones(2))
    q = ResidualNormal(p, torch.ones(2), torch.zeros(2))
    chained = ResidualNormal(q, torch.ones(2), torch.zeros(2))
    merged = PrecisionWeightedNormal(p, q)
    everything = [p, q, chained, merged]
    for a in everything:
        for b in everything:
            torch.testing.assert_close(kl_divergence(a, b), kl_divergence(plain(a), plain(b)))


def test_kl_works_through_independent():
    loc, log_scale, delta, d = offsets(7, 3, 4)
    p = dist.Normal(loc, log_scale.exp()).to_event(2)
    q = ResidualNormal(p, delta, d).to_event(2)
    assert q.base_dist.reference is p.base_dist
    assert kl_divergence(q, p).shape == (7,)
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(q.base_dist, p.base_dist).sum((1, 2)))


def test_expand_keeps_the_reference():
    loc, log_scale, delta, d = offsets(4)
    p = dist.Normal(loc, log_scale.exp())
    q = ResidualNormal(p, delta, d).expand((3, 4))
    assert q.reference is p
    assert q.delta_loc.shape == (3, 4)
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(plain(q), p), rtol=1e-10, atol=1e-10)


def test_kl_in_pyro_plates_is_that_of_the_offsets():
    """A plate expands both distributions, so that neither is the object that was built."""
    loc, log_scale, delta, d = offsets(5, 4)
    p = dist.Normal(loc, log_scale.exp()).to_event(1)

    def program(make):
        with pyro.plate("batch", 5, dim=-1):
            pyro.sample("z", make())

    guide = pyro.poutine.trace(program).get_trace(lambda: ResidualNormal(p, delta, d).to_event(1))
    model = pyro.poutine.trace(program).get_trace(lambda: p)
    kl = kl_divergence(guide.nodes["z"]["fn"], model.nodes["z"]["fn"])
    assert model.nodes["z"]["fn"] is not p
    torch.testing.assert_close(kl, kl_divergence(ResidualNormal(p, delta, d).to_event(1), p))


def test_offsets_broadcast_with_the_reference():
    p = dist.Normal(torch.zeros(4), torch.ones(4))
    q = ResidualNormal(p, torch.zeros(3, 1), 0.5)
    assert q.batch_shape == q.delta_log_scale.shape == (3, 4)
    assert kl_divergence(q, p).shape == (3, 4)


def test_reparameterised_gradients_reach_all_parameters():
    parameters = [t.requires_grad_() for t in offsets(6).unbind()]
    loc, log_scale, delta, d = parameters
    ResidualNormal(dist.Normal(loc, log_scale.exp()), delta, d).rsample().sum().backward()
    assert all(t.grad is not None for t in parameters)


def test_small_offsets_keep_their_divergence():
    """1/2 (exp(2d) - 2d - 1) ≈ d² in float32, where exp(2d) - 1 would be noise."""
    p = dist.Normal(torch.zeros(1), torch.ones(1))
    d = torch.full((1,), 1e-3)
    torch.testing.assert_close(kl_divergence(ResidualNormal(p, 0.0, d), p), d**2, rtol=1e-2, atol=0.0)


def test_reference_that_is_no_normal_is_refused():
    with pytest.raises(TypeError, match=r"expected a Normal or an Independent.*got Laplace"):
        ResidualNormal(dist.Laplace(torch.zeros(2), 1.0).to_event(1), 0.0, 0.0)
