"""Parts: heads, priors, likelihoods and what flows make of them."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from flows import AffineCoupling, Composed
from tests.catalogue import IMAGE, couplings, images, pair, randomised
from zoo import (
    VAE,
    AmortizedGuide,
    BernoulliLikelihood,
    ConvDecoder,
    ConvEncoder,
    FullCovarianceHead,
    LearnedNormal,
    LogisticMixtureLikelihood,
    NormalHead,
    StandardNormal,
    log_likelihood,
    transformed,
)
from zoo.infer.joint import Joint
from zoo.nn.scales import softplus_scale, wide_softplus_scale
from zoo.parts.heads import WithEncoder, distribution_of, encoded
from zoo.parts.posteriors import (
    householder_posterior,
    iaf_posterior,
    normal_with_flow,
    planar_posterior,
    sylvester_posterior,
)


def encoder(**options):
    return NormalHead(ConvEncoder(IMAGE, channels=4, strides=(2,)), 4, **options).double()


def given_a_context(**options):
    """Flows that the encoder of their base gives a context to."""
    flow = randomised(Composed([AffineCoupling(4, hidden=(8,), context=3, flip=f) for f in (False, True)]))
    return normal_with_flow(ConvEncoder(IMAGE, channels=4, strides=(2,)), 4, flow, **options).double()


def with_flow(head):
    """A posterior of the zoo whose flow is not near the identity."""
    made = head(ConvEncoder(IMAGE, channels=4, strides=(2,)), 4, context=3).double()
    randomised(made.head.flows)
    return made


HEADS = {
    "householder": lambda: with_flow(partial(householder_posterior, reflections=3)),
    "planar": lambda: with_flow(planar_posterior),
    "sylvester": lambda: with_flow(sylvester_posterior),
    "iaf": lambda: with_flow(partial(iaf_posterior, hidden=(5,))),
    "normal with conditional flows": given_a_context,
    "normal": encoder,
    "normal with flows": lambda: transformed(encoder(), [flow.double() for flow in couplings()]),
    "full covariance": lambda: FullCovarianceHead(ConvEncoder(IMAGE, channels=4, strides=(2,)), 4).double(),
    "map": lambda: NormalHead(ConvEncoder(IMAGE, channels=4, strides=(2,)), (2, 3, 3)).double(),
    "wide": lambda: encoder(scale=wide_softplus_scale),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_the_distribution_of_what_it_encodes(name):
    head, x = HEADS[name](), images()
    q = head(x)
    z = q.sample()
    assert q.batch_shape == (3,)
    torch.testing.assert_close(distribution_of(head, encoded(head, x)).log_prob(z), q.log_prob(z))


def test_any_callable_is_a_head():
    head, x = encoder(), images()
    plain = AmortizedGuide(lambda x: head(x))
    q = Joint(VAE(StandardNormal(4), likelihood()).double(), plain, x).sample()["z"].posterior
    assert torch.equal(q.base_dist.loc, head(x).base_dist.loc)


def likelihood():
    return BernoulliLikelihood(ConvDecoder(4, IMAGE, channels=4, strides=(2,)), IMAGE)


def change_of_variables(base, flows, z):
    """log q(z) written out from the flows' inverses."""
    total = 0.0
    for flow in reversed(flows):
        before = flow._inverse(z)
        total = total - flow.log_abs_det_jacobian(before, z)
        z = before
    return base.log_prob(z) + total


def test_a_transformed_posterior_has_the_density_of_the_change_of_variables():
    model, guide = pair("vae, flow posterior")
    x = images()
    site = Joint(model, guide, x).sample()["z"]
    expected = change_of_variables(guide.head.part(x), list(guide.head.flows), site.value)
    torch.testing.assert_close(site.log_q(), expected, rtol=0, atol=1e-9)


def test_a_transformed_prior_has_the_density_of_the_change_of_variables():
    model, guide = pair("vae, flow prior")
    site = Joint(model, guide, images()).sample()["z"]
    expected = change_of_variables(model.prior.part(), list(model.prior.flows), site.value)
    torch.testing.assert_close(site.log_p(), expected, rtol=0, atol=1e-9)


def test_the_same_flow_before_prior_and_posterior_leaves_the_evidence():
    """z = f(u) in model and guide alike is a change of the latent's name."""
    flows = [flow.double() for flow in couplings()]
    head, decoder = encoder(), likelihood().double()
    plain = VAE(StandardNormal(4).double(), decoder), AmortizedGuide(head)

    class After(nn.Module):
        def forward(self, z):
            for flow in reversed(flows):
                z = flow._inverse(z)
            return decoder(z)

    renamed = (
        VAE(transformed(StandardNormal(4).double(), flows), After()),
        AmortizedGuide(transformed(head, flows)),
    )
    x = images()
    first, second = (log_likelihood(*both, x, 20, seed=0).log_likelihood for both in (plain, renamed))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-8)


@pytest.mark.parametrize("prior", [StandardNormal, LearnedNormal])
@pytest.mark.parametrize(("latent", "shape"), [(3, (3,)), ((2, 3, 4), (2, 3, 4)), ((5,), (5,))])
def test_priors_have_no_batch_and_the_latents_shape(prior, latent, shape):
    p = prior(latent)()
    assert p.batch_shape == ()
    assert p.event_shape == shape


@pytest.mark.parametrize("prior", [StandardNormal, LearnedNormal])
@pytest.mark.parametrize("latent", [0, (), (2, 0, 3), -1])
def test_a_latent_without_size_is_refused(prior, latent):
    with pytest.raises(ValueError, match="latent of positive size"):
        prior(latent)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_mixture_likelihood_has_the_images_shape_and_levels(channels):
    shape = (channels, 4, 4)
    net = ConvDecoder(3, shape, channels=4, strides=(2,))
    p = LogisticMixtureLikelihood(net, shape, components=3, levels=8)(torch.randn(2, 3))
    x = p.sample()
    assert p.batch_shape == (2,)
    assert x.shape == (2, *shape)
    assert p.log_prob(x).shape == (2,)
    levels = (x + 1) / 2 * 7
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-5)


def test_a_bernoulli_likelihood_takes_logits_as_they_are_or_projects():
    net = ConvDecoder(3, IMAGE, channels=1, strides=(2,))
    z = torch.randn(2, 3)
    logits = BernoulliLikelihood(net)(z).base_dist.logits
    assert torch.equal(logits, net(z))
    assert BernoulliLikelihood(net, IMAGE)(z).event_shape == IMAGE


def test_a_context_changes_what_the_flows_do():
    """The density is that of the flow at each image's own context."""
    head, x = given_a_context(), images()
    features = head.net(x)
    part, flow, context = head.head.part(features), head.head.flows[0], head.head.context(features)
    q = head(x)
    z = q.sample()
    expected = change_of_variables(part, [flow.condition(context)], z)
    torch.testing.assert_close(q.log_prob(z.clone()), expected, rtol=0, atol=1e-9)
    assert not torch.allclose(q.log_prob(z), change_of_variables(part, [flow.condition(-context)], z))


def test_one_flow_may_stand_without_a_list():
    flow = couplings()[0].double()
    one, listed = (transformed(StandardNormal(4).double(), f) for f in (flow, [flow]))
    z = torch.randn(3, 4).double()
    assert torch.equal(one().log_prob(z), listed().log_prob(z))


def test_a_context_that_is_missing_or_in_vain_is_refused():
    with pytest.raises(ValueError, match=r"needs a context of shape \(3,\)"):
        transformed(StandardNormal(4), AffineCoupling(4, context=3))
    with pytest.raises(ValueError, match="no flow takes the context"):
        transformed(StandardNormal(4), AffineCoupling(4), context=nn.Linear(2, 3))


def test_a_head_behind_a_network_sees_its_features():
    net, head = nn.Linear(3, 5).double(), lambda h: h
    b = torch.randn(2, 3).double()
    both = WithEncoder(net, head)
    assert torch.equal(both(b), net(b))
    assert torch.equal(distribution_of(both, encoded(both, b)), net(b))


def test_a_householder_posterior_is_a_normal_of_full_covariance():
    """N(Q mu, Q diag(s^2) Q^T), which MultivariateNormal scores."""
    head, x = HEADS["householder"](), images()
    q = head(x)
    base, flow = q.base_dist, q.transforms[0]
    columns = flow(torch.eye(4).double().unsqueeze(1).expand(4, len(x), 4))  # Q e_i, (D, B, D)
    rotation = columns.permute(1, 2, 0)
    loc = (rotation @ base.mean.unsqueeze(-1)).squeeze(-1)
    covariance = rotation @ torch.diag_embed(base.variance) @ rotation.mT
    z = q.sample()
    torch.testing.assert_close(q.log_prob(z), MultivariateNormal(loc, covariance).log_prob(z))
    assert (covariance - torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))).abs().max() > 0.01


@pytest.mark.parametrize(
    "posterior", [householder_posterior, planar_posterior, sylvester_posterior, iaf_posterior]
)
def test_a_flow_of_vectors_is_no_posterior_of_maps(posterior):
    with pytest.raises(ValueError, match="expected a latent vector for flows"):
        posterior(ConvEncoder(IMAGE, channels=4, strides=(2,)), (2, 3, 3))


def test_a_full_covariance_is_the_triangles():
    head, x = HEADS["full covariance"](), images()
    loc, raw, lower = head.encode(x).split([4, 4, 6], dim=1)
    q = head(x)
    torch.testing.assert_close(q.mean, loc)
    assert torch.equal(q.scale_tril, q.scale_tril.tril())
    torch.testing.assert_close(q.scale_tril.diagonal(dim1=1, dim2=2), softplus_scale(raw))
    torch.testing.assert_close(q.scale_tril[:, 2, :2], lower[:, 1:3])
