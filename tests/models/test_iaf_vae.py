"""IAF-VAE: published size, bidirectional inference, flows on every posterior."""

import copy
import io

import pytest
import torch

from distributions.base_normal import base_normal
from flows import Autoregressive
from flows.univariate import Affine
from tests.catalogue import IMAGE, iaf_vaes, images, pair, randomised
from tests.contracts import dependencies, seeded
from zoo import ELBO, above, log_likelihood
from zoo.experiments import find
from zoo.infer.joint import Joint
from zoo.models.iaf_vae import iaf_vae, masked_iaf
from zoo.nn.masked_cell import MaskedNet
from zoo.parts.families import SharedScaleLogistics

X = images()


def test_the_published_configuration_has_its_published_size_but_for_what_leads_nowhere():
    with torch.device("meta"):
        model, guide = find("iaf_vae_cifar10_paper").system((3, 32, 32))
    assert sum(p.numel() for program in (model, guide) for p in program.parameters()) == 41_557_927 - 2 * (
        9 * 160 * 160 + 2 * 160
    )
    assert len(model.layers) == 20
    assert sum(torch.Size(layer.event_shape).numel() for layer in model.layers) == 163_840


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8), (1, 7, 5)])
@pytest.mark.parametrize("flows", [0, 1, 2])
@pytest.mark.parametrize("hidden", [(4,), (4, 6, 4)])
def test_any_image_and_flows_of_any_depth_and_width(shape, flows, hidden):
    model, guide = iaf_vaes(flows=flows, hidden=hidden)(shape)
    x = images(2, shape, dtype=torch.float32)
    loss = ELBO()(model, guide)(x)
    loss.backward()
    assert loss.isfinite()
    assert model(n=3).shape == (3, *shape)


def test_grey_levels_have_one_scale_for_all():
    model, guide = iaf_vaes(likelihood=lambda channels: SharedScaleLogistics(channels, 4))((3, 8, 8))
    x = torch.randint(0, 4, (2, 3, 8, 8)) * 2 / 3 - 1
    ELBO()(model, guide)(x).backward()
    assert model.likelihood.family.log_scale.grad.isfinite()


def test_the_masses_of_a_sub_pixel_sum_to_one():
    family = SharedScaleLogistics(1, 16)
    levels = torch.linspace(-1, 1, 16).view(16, 1, 1, 1)
    for loc in (-1.5, 0.0, 0.9, 1.0):
        log_masses = family(torch.full((16, 1, 1, 1), loc)).log_prob(levels)
        torch.testing.assert_close(log_masses.logsumexp(0), torch.tensor(0.0), atol=1e-5, rtol=0)


def test_every_distribution_depends_on_exactly_what_it_should():
    found = dependencies(*pair("iaf-vae, diagonal"), X)
    above_of = {1: {"z_2", "z_3"}, 2: {"z_3"}, 3: set()}
    expected = {"p(x)": {"z_1", "z_2", "z_3"}, **{f"p(z_{i})": seen for i, seen in above_of.items()}}
    of_guide = {f"q(z_{i})": seen | {"x"} for i, seen in above_of.items()}
    assert found == expected | of_guide


def test_both_passes_add_to_the_posterior():
    _, guide = pair("iaf-vae, diagonal")
    up, down = ([torch.randn(2, 2, 3, 3).double() for _ in range(2)] for _ in range(2))
    none = torch.zeros(2, 0, 3, 3).double()
    q = base_normal(guide.posteriors[0](None, [*down, none], [*up, none]))
    torch.testing.assert_close(q.loc, up[0] + down[0])
    torch.testing.assert_close(q.scale.log(), 10 * torch.tanh((up[1] + down[1]) / 10))


def test_a_flow_that_does_nothing_leaves_the_diagonal_posterior():
    model, guide = pair("iaf-vae, flow posterior")
    for posterior in guide.posteriors:
        for flow in posterior.flows:
            flow.net.last.log_gain.data.fill_(-40.0)
            flow.net.last.bias.data.zero_()
    site = seeded(Joint(model, guide, X).sample)["z_1"]
    torch.testing.assert_close(site.log_q(), site.posterior.base_dist.log_prob(site.value))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_flow_changes_each_element_by_those_before_it_and_by_the_context(reverse):
    shape = (2, 3, 3)
    flow = randomised(masked_iaf(shape, (4, 6), reverse=reverse), std=0.4).double()
    x, context = torch.randn(1, *shape).double(), torch.randn(1, 4, 3, 3).double()
    found = torch.autograd.functional.jacobian(lambda t: flow.call_and_log_det(t, context)[0], x)
    order = torch.arange(18).view(shape).permute(1, 2, 0).flatten()
    matrix = found.view(18, 18)[order][:, order]
    matrix = matrix.flip(0, 1) if reverse else matrix
    assert (matrix.triu(1) == 0).all()
    assert (matrix.tril(-1) != 0).any()
    log_det = flow.call_and_log_det(x, context)[1]
    torch.testing.assert_close(log_det, torch.linalg.slogdet(matrix)[1][None])
    by_context = torch.autograd.functional.jacobian(lambda c: flow.call_and_log_det(x, c)[0], context)
    assert (by_context != 0).any()


def test_the_terms_of_the_log_det_are_the_diagonal_of_the_jacobian():
    shape = (1, 2, 2)
    net = randomised(MaskedNet(1, 2, hidden=(3,)), std=0.4)
    flow = Autoregressive(shape, Affine(), net=net, context=(3, 2, 2)).double()
    x, context = torch.randn(1, *shape).double(), torch.randn(1, 3, 2, 2).double()
    y, slopes = flow.call_and_log_slopes(x, context)
    jacobian = torch.autograd.functional.jacobian(lambda t: flow.call_and_log_slopes(t, context)[0], x)
    torch.testing.assert_close(slopes.flatten(), jacobian.view(4, 4).diagonal().log())
    torch.testing.assert_close(y, flow.call_and_log_det(x, context)[0])


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_layers_can_be_left_to_the_prior(k):
    model, guide = pair("iaf-vae, flow posterior")
    sites = Joint(model, above(guide, k), X).sample()
    zero = {s.name for s in sites.values() if not s.observed and s.posterior is s.prior}
    assert zero == {f"z_{i}" for i in range(1, k + 1)}


def test_a_bound_of_many_samples_is_above_the_elbo():
    found = log_likelihood(*pair("iaf-vae, flow posterior"), X, k=50, seed=0)
    assert (found.log_likelihood > found.elbo).all()


def test_a_pair_is_copied_and_pickled_whole():
    both = torch.nn.ModuleList(iaf_vaes()(IMAGE))
    file = io.BytesIO()
    torch.save(both, file)
    file.seek(0)
    expected = seeded(ELBO()(*both), X.float())
    others = [copy.deepcopy(both), torch.load(file, weights_only=False)]
    randomised(both, std=0.1)
    assert all(seeded(ELBO()(*other), X.float()) == expected for other in others)


def test_no_scale_may_be_empty():
    with pytest.raises(ValueError, match="a block on every scale"):
        iaf_vae((1, 8, 8), blocks=(2, 0))
