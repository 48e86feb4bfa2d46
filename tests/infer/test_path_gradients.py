"""Sticking the landing and DReG: unbiased, without variance at the posterior, for flows and hierarchies."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from flows import AffineCoupling
from tests.catalogue import family_pair, images_for, pair, randomised
from tests.contracts import assert_all_close, seeded, standard_errors
from tests.linear_gaussian import LinearGaussian, one_layer, two_layers
from zoo import ELBO, DReG, Guide, ImportanceWeighted, StickingTheLanding, batch_plate
from zoo.infer.objectives import monte_carlo

ROWS = 4000
SAME = pytest.mark.parametrize(
    ("path", "plain"),
    [(StickingTheLanding(3), ELBO(3, kl=monte_carlo)), (DReG(3), ImportanceWeighted(3))],
    ids=["STL", "DReG"],
)


class Learned(Guide):
    """The exact posterior of every latent but for a shift and a width, a parameter of its own for every row.

    Args:
        early: whether z_1 is drawn bottom-up.
    """

    def __init__(self, model, shift, log_width, *, early=False, flow=None):
        super().__init__(model)
        self.law, self.shift, self.log_width = model, shift, log_width
        self.early, self.flow = early, flow

    def encode(self, x):
        return {"x": x, "shift": self.shift, "log_width": self.log_width}

    def bottom_up(self, features):
        if not self.early:
            return features
        with batch_plate():
            z_1 = pyro.sample("z_1", self.of("z_1", features, x=features["x"]))
        return {**features, "z_1": z_1}

    def posterior(self, name, prior, h, features):
        given = {n: v for n, v in features.items() if n in ("x", "z_1")}
        if h.shape[1]:
            given["z_2"] = h
        return self.of(name, features, **given)

    def of(self, name, features, **given):
        exact = self.law.posterior(name, **given)
        scale = exact.stddev * features["log_width"].exp()
        q = dist.Normal(exact.mean + features["shift"], scale).to_event(1)
        return q if self.flow is None else dist.TransformedDistribution(q, [self.flow])


def rows(model, shift=0.3, log_width=0.2, n=ROWS, **options):
    """A guide with as many rows, for as many copies of one image."""
    parameters = [torch.full((n, 1), v, dtype=torch.float64, requires_grad=True) for v in (shift, log_width)]
    x = model.images(1).expand(n, *[-1] * (model.images(1).dim() - 1))
    return Learned(model, *parameters, **options), x, parameters


def gradients(objective, model, seed=0, **options):
    """Of minus the loss of every row, in its own shift and log width, (rows, 2)."""
    guide, x, parameters = rows(model, **options)
    loss = seeded(objective(model, guide), x, seed=seed)
    return -len(x) * torch.cat(torch.autograd.grad(loss, parameters), dim=1)


CASES = {
    "one layer": (lambda: LinearGaussian([1]), {}),
    "two layers, top-down": (two_layers, {}),
    "two layers, bottom-up": (two_layers, {"early": True}),
    "a flow": (
        one_layer,
        {"flow": randomised(AffineCoupling(2, hidden=(3,)), std=0.5).double().requires_grad_(False)},
    ),
}
VALUED = ["vae", "vae, conditional flow posterior", "vamp vae", "hierarchical vae", "ladder vae"]
cases = pytest.mark.parametrize(("model", "options"), CASES.values(), ids=CASES)


@SAME
@cases
def test_gradients_agree_with_autograds_in_expectation(path, plain, model, options):
    ours = gradients(path, model(), **options)
    theirs = gradients(plain, model(), seed=1, **options)
    difference = ours.mean(0) - theirs.mean(0)
    error = ((ours.var(0) + theirs.var(0)) / ROWS).sqrt()
    assert (difference.abs() < 4 * error).all()
    assert (standard_errors(theirs, 0).abs() > 4).any()  # there is something to agree on


def exact_bound(model, x, shift, log_width, k):
    """L_k of one layer of one latent, by quadrature over k draws."""
    exact = model.posterior("z_1", x=x).base_dist
    q = dist.Normal(exact.mean[0, 0] + shift, exact.stddev[0, 0] * log_width.exp())
    z = torch.linspace(-9, 9, 601, dtype=torch.float64) * 0.6
    joint = dist.Normal(0.0, 1.0).log_prob(z)
    joint = joint + dist.Normal(z[:, None] * model.maps["x"].T, model.noise).log_prob(x.flatten()).sum(1)
    log_q = q.log_prob(z)
    log_w, mass = joint - log_q, log_q.exp() * (z[1] - z[0])
    if k == 1:
        return (mass * log_w).sum()
    both = torch.logaddexp(log_w[:, None], log_w) - math.log(2)
    return (mass[:, None] * mass * both).sum()


@pytest.mark.parametrize(("objective", "k"), [(StickingTheLanding(), 1), (DReG(1), 1), (DReG(2), 2)])
def test_gradients_are_those_of_the_exact_bound(objective, k):
    model = LinearGaussian([1])
    parameters = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 0.2)]
    bound = exact_bound(model, model.images(1), *parameters, k)
    exact = torch.stack(torch.autograd.grad(bound, parameters))
    assert (standard_errors(gradients(objective, model), exact).abs() < 4).all()


@pytest.mark.parametrize("objective", [StickingTheLanding(), DReG(1), DReG(5)])
@pytest.mark.parametrize("name", [name for name in CASES if name != "a flow"])
def test_there_is_no_variance_at_the_posterior(objective, name):
    make, options = CASES[name]
    exact = gradients(objective, make(), shift=0.0, log_width=0.0, n=50, **options)
    assert exact.abs().max() < 1e-9
    plain = gradients(ImportanceWeighted(5), make(), shift=0.0, log_width=0.0, n=50, **options)
    assert plain.abs().max() > 1e-2  # control: autograd has


def test_signal_to_noise_rises_with_k_where_autograds_falls():
    model = LinearGaussian([1])

    def signal_to_noise(objective):
        g = gradients(objective, model)[:, 0]
        return (g.mean().abs() / g.std()).item()

    ours = [signal_to_noise(DReG(k)) for k in (1, 8, 64)]
    theirs = [signal_to_noise(ImportanceWeighted(k)) for k in (1, 8, 64)]
    assert ours[0] < ours[1] < ours[2]
    assert theirs[0] > theirs[1] > theirs[2]


@SAME
@pytest.mark.parametrize("name", VALUED)
def test_values_are_the_bounds_own(path, plain, name):
    model, guide = pair(name)
    x = images_for(name)
    ours, theirs = (seeded(objective(model, guide), x) for objective in (path, plain))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    with torch.no_grad():
        torch.testing.assert_close(seeded(path(model, guide), x), theirs.detach(), rtol=0, atol=1e-9)


@SAME
@pytest.mark.parametrize("name", ["vae", "vae, learned prior", "hierarchical vae"])
def test_the_models_gradient_is_autograds(path, plain, name):
    """Where the guide sees nothing of the model."""
    model, guide = pair(name)
    x, parameters = images_for(name), list(model.parameters())
    found = [
        torch.autograd.grad(seeded(objective(model, guide), x), parameters) for objective in (path, plain)
    ]
    assert_all_close(*found)


@SAME
def test_a_shared_parameter_has_the_gradient_of_both_halves(path, plain):
    """Of a VampPrior: the expectation, over many draws for one image."""
    model, guide = pair("vamp vae")
    x = images_for("vamp vae", 1).expand(400, -1, -1, -1)
    bias = guide.head.project[1].bias

    def gradient(objective, seed):
        return torch.autograd.grad(seeded(objective(model, guide), x, seed=seed), bias)[0]

    ours, theirs = (torch.stack([gradient(o, seed) for seed in range(30)]) for o in (path, plain))
    error = ((ours.var(0) + theirs.var(0)) / 30).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 5 * error).all()


def test_a_posterior_that_is_not_reparameterised_is_named():
    model, guide = family_pair("bernoulli")
    with pytest.raises(ValueError, match="not reparameterised"):
        DReG(2)(model, guide)(images_for("vae"))


def test_every_parameter_gets_a_gradient():
    model, guide = pair("biva of 3 layers")
    loss = DReG(3)(model, guide)
    loss(images_for("biva of 3 layers")).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in nn.Module.parameters(loss))
