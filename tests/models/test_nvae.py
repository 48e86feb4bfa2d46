"""NVAE: published sizes, posteriors relative to their priors, one pass a step, batch normalisation."""

import copy
import io

import pyro.poutine as poutine
import pytest
import torch
from torch.distributions import kl_divergence

from distributions import ResidualNormal
from distributions.base_normal import base_normal
from tests.catalogue import IMAGE, images, images_for, nvaes, pair
from tests.contracts import dependencies, seeded
from tests.linear_gaussian import LinearGaussian, TopDown
from zoo import ELBO, above, log_likelihood
from zoo.experiments import find
from zoo.infer.joint import Joint
from zoo.models.nvae import BOUND, Group, nvae
from zoo.models.residual_hierarchy import bounded
from zoo.nn.residual_cells import regular_cell, separable_cell
from zoo.parts.laws import residual

PUBLISHED = {  # parameters, latent numbers, groups
    "nvae_mnist_small": (2_231_270, 20 * (4 * 64 + 2 * 16), 6),
    "nvae_mnist_paper": (33_363_134, 14_400, 15),
    "nvae_cifar10_paper": (130_852_480, 153_600, 30),
    "nvae_celeba64_paper": (153_281_364, 467_200, 35),
    "nvae_imagenet32_paper": (268_509_444, 143_360, 28),
    "nvae_celebahq256_paper": (330_798_664, 6_005_760, 36),
}
X = images()


def count(programs):
    return sum(p.numel() for program in programs for p in program.parameters())


def sites_of(name="nvae", x=X, **options):
    return seeded(Joint(*pair(name), x).sample)


def latents(sites):
    return {name: s for name, s in sites.items() if not s.observed}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configurations_have_their_published_sizes(name):
    parameters, numbers, groups = PUBLISHED[name]
    with torch.device("meta"):
        programs = find(name).system(find(name).image_shape)
    events = [group.event_shape for group in programs[0].layers]
    assert count(programs) == parameters
    assert len(events) == groups
    assert sum(torch.Size(event).numel() for event in events) == numbers


@pytest.mark.parametrize(
    ("shape", "groups"), [((1, 28, 28), (1,)), ((3, 16, 16), (2, 1)), ((3, 7, 5), (1, 1, 1))]
)
def test_any_image_and_any_scales(shape, groups):
    model, guide = nvaes(groups=groups)(shape)
    x = images(2, shape, dtype=torch.float32)
    loss = ELBO()(model, guide)(x)
    loss.backward()
    assert loss.isfinite()
    assert model.eval()(n=3).shape == (3, *shape)
    assert list(latents(Joint(model, guide, x).sample())) == [f"z_{i}" for i in range(sum(groups), 0, -1)]


@pytest.mark.parametrize("encoder_cell", [regular_cell, separable_cell])
@pytest.mark.parametrize("generative_cell", [regular_cell, separable_cell])
def test_cells_can_be_swapped(encoder_cell, generative_cell):
    model, guide = nvaes(encoder_cell=encoder_cell, generative_cell=generative_cell)(IMAGE)
    assert ELBO()(model, guide)(X.float()).isfinite()


def test_no_scale_may_be_empty():
    with pytest.raises(ValueError, match="one group on every scale"):
        nvae((1, 8, 8), groups=(2, 0))


def test_every_distribution_depends_on_exactly_what_it_should():
    """p on all latents above, q on these and the image: the state carries everything down."""
    found = dependencies(*pair("nvae"), X)
    assert found == {
        "p(z_3)": set(),
        "q(z_3)": {"x"},
        "p(z_2)": {"z_3"},
        "q(z_2)": {"x", "z_3"},
        "p(z_1)": {"z_2", "z_3"},
        "q(z_1)": {"x", "z_2", "z_3"},
        "p(x)": {"z_1", "z_2", "z_3"},
    }


def test_every_kl_is_the_papers_closed_form():
    for site in latents(sites_of()).values():
        q, p = base_normal(site.posterior), base_normal(site.prior)
        assert isinstance(q, ResidualNormal)
        delta, d = q.delta_loc, q.delta_log_scale
        closed = 0.5 * (delta**2 / p.scale**2 + torch.exp(2 * d) - 2 * d - 1)
        torch.testing.assert_close(site.kl(), closed.flatten(1).sum(1), atol=1e-10, rtol=1e-9)
        plain = kl_divergence(
            torch.distributions.Normal(q.loc, q.scale), torch.distributions.Normal(p.loc, p.scale)
        )
        torch.testing.assert_close(site.kl(), plain.flatten(1).sum(1), atol=1e-10, rtol=1e-6)


def test_a_kl_does_not_change_when_prior_and_posterior_move_together():
    loc = torch.randn(2, 3, 1, 1).double()
    kls = []
    for shift in (0.0, 1e3):
        prior = torch.distributions.Independent(torch.distributions.Normal(loc + shift, 0.5), 3)
        kls.append(kl_divergence(residual(prior, loc, loc), prior))
    torch.testing.assert_close(*kls, atol=0, rtol=0)


def test_without_offsets_nothing_costs_anything():
    model, guide = pair("nvae")
    for posterior in guide.posteriors:
        for parameter in posterior.head.parameters():
            parameter.data.zero_()
        posterior.head.log_gain.data.fill_(-30.0)
        posterior.head.weight.data.fill_(1.0)
    sites = latents(Joint(model, guide, X).sample())
    for site in sites.values():
        assert site.kl().abs().max() < 1e-12
        torch.testing.assert_close(site.log_q(), site.log_p())


def test_parameters_stay_in_their_bounds_and_keep_their_gradients():
    raw = torch.tensor([-1e4, -30.0, -1.0, 0.0, 1.0, 30.0, 1e4], dtype=torch.float64, requires_grad=True)
    found = bounded(raw, BOUND)
    (gradient,) = torch.autograd.grad(found.sum(), raw)
    assert (found.abs() <= 5).all()
    assert gradient.isfinite().all()
    torch.testing.assert_close(bounded(torch.tensor(1e-3), BOUND), torch.tensor(1e-3))


class ResidualTopDown(TopDown):
    """The exact posterior, as an offset from the prior."""

    def posterior(self, name, prior, h, features):
        q, p = super().posterior(name, prior, h, features).base_dist, base_normal(prior)
        return ResidualNormal(prior, q.loc - p.loc, (q.scale / p.scale).log()).to_event(1)


def test_exact_residual_posteriors_reach_the_evidence():
    """A linear-Gaussian hierarchy, whose log p(x) is known: its terms sum to it at every draw."""
    model = LinearGaussian([1, 1, 1])
    x = model.images()
    terms = ELBO()(model, ResidualTopDown(model)).eval().terms(x)
    weights = seeded(Joint(model, ResidualTopDown(model), x).sample)
    log_w = sum(s.log_p() for s in weights.values()) - sum(s.log_q() for s in latents(weights).values())
    torch.testing.assert_close(log_w, model.log_evidence(x))
    assert terms.elbo().mean(0).shape == (len(x),)


def test_the_objective_is_the_hand_summed_bound():
    model, guide = pair("nvae")
    sites = sites_of()
    expected = sites["x"].log_p() - sum(kl_divergence(s.posterior, s.prior) for s in latents(sites).values())
    torch.testing.assert_close(seeded(ELBO()(model, guide), X), -expected.mean())


def test_flows_are_scored_by_the_change_of_variables():
    model, guide = pair("nvae, flow posterior")
    site = seeded(Joint(model, guide, X).sample)["z_1"]
    base, flow = site.posterior.base_dist, site.posterior.transforms[0]
    z = flow.inv(site.value.clone())
    torch.testing.assert_close(site.log_q(), base.log_prob(z))  # they preserve volume


def statistics(*programs):
    buffers = {}
    for program in programs:
        for name, buffer in program.named_buffers():
            if "running" in name or "tracked" in name:
                buffers[id(program), name] = buffer.clone()
    return buffers


def test_a_step_takes_the_batch_into_the_statistics_once():
    model, guide = nvaes()(IMAGE)
    ELBO()(model, guide).train()(X.float()).backward()
    counts = [b for (_, name), b in statistics(model, guide).items() if name.endswith("tracked")]
    assert counts
    assert all(count == 1 for count in counts)


def test_evaluation_leaves_the_statistics_alone():
    model, guide = pair("nvae")
    before = statistics(model, guide)
    ELBO()(model, guide)(X)
    assert all(torch.equal(before[key], value) for key, value in statistics(model, guide).items())


def test_an_image_does_not_see_its_batch_in_evaluation():
    _, guide = pair("nvae")
    features, alone = guide.encode(X), guide.encode(X[1:2])
    for d, one in zip(features, alone, strict=True):
        torch.testing.assert_close(d[1:2], one, atol=1e-10, rtol=1e-9)


def test_what_is_outside_the_image_has_no_weight():
    model, _ = pair("nvae")
    h = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    assert model.likelihood.net(h).shape == (2, *IMAGE)
    crop, padded = model.likelihood.net[-1], torch.zeros(2, 1, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(crop(padded).sum(), padded)
    assert gradient.sum() == 2 * 6 * 5
    assert torch.equal(gradient, torch.nn.functional.pad(torch.ones(2, *IMAGE), (1, 2, 1, 1)))


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_layers_can_be_left_to_the_prior(k):
    model, guide = pair("nvae")
    sites = latents(Joint(model, above(guide, k), X).sample())
    zero = {name for name, site in sites.items() if site.kl().abs().max() == 0}
    assert zero == {f"z_{i}" for i in range(1, k + 1)}


def test_a_bound_of_many_samples_runs_and_is_above_the_elbo():
    model, guide = pair("nvae, flow posterior")
    found = log_likelihood(model, guide, X, k=50, seed=0)
    assert (found.log_likelihood > found.elbo).all()


@pytest.mark.parametrize("name", ["nvae", "nvae, flow posterior", "nvae, absolute, logistic mixture"])
def test_a_pair_is_copied_pickled_and_loaded_whole(name):
    both = torch.nn.ModuleList(pair(name))
    x = images_for(name)
    expected = seeded(ELBO()(*both), x)
    file = io.BytesIO()
    torch.save(both, file)
    file.seek(0)
    fresh = torch.nn.ModuleList(pair(name))
    torch.nn.init.ones_(next(fresh.parameters()))
    fresh.load_state_dict(both.state_dict(), strict=True)
    for other in (copy.deepcopy(both), torch.load(file, weights_only=False), fresh):
        assert seeded(ELBO()(*other), x) == expected


def test_the_model_is_an_ordinary_program():
    model, guide = pair("nvae")
    trace = poutine.trace(model).get_trace(X)
    assert [n for n, s in trace.nodes.items() if s["type"] == "sample"] == ["z_3", "z_2", "z_1", "x"]
    assert all(s["fn"].event_dim == 3 for s in trace.nodes.values() if s["type"] == "sample")
    assert list(poutine.trace(guide).get_trace(X).stochastic_nodes) == ["z_3", "z_2", "z_1"]


def test_the_top_group_has_no_cells():
    model, _ = pair("nvae")
    assert isinstance(model.layers[-1], Group)
    assert len(model.layers[-1].cells) == 0
