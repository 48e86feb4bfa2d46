"""Rényi's bounds, between the ELBO and the importance-weighted bound, and beyond."""

import itertools
import math

import pytest
import torch

from tests.catalogue import images_for, pair
from tests.contracts import seeded, standard_errors
from tests.linear_gaussian import VERY_WRONG, TopDown, one_layer
from zoo import ELBO, ImportanceWeighted, Renyi, VRMax
from zoo.errors import UsageError
from zoo.infer.objectives import monte_carlo

K = 20


def linear():
    model = one_layer()
    return model, TopDown(model, VERY_WRONG), model.images()


def weights(n=500):
    model, guide, x = linear()
    return (
        seeded(ELBO(n * K, kl=monte_carlo)(model, guide).terms, x).elbo().unflatten(0, (n, K)).movedim(1, 0)
    )


def test_orders_zero_and_one_are_the_known_bounds():
    model, guide, x = linear()
    pairs = {0.0: ImportanceWeighted(K), 1.0: ELBO(K, kl=monte_carlo)}
    for alpha, objective in pairs.items():
        ours, theirs = (seeded(o(model, guide), x) for o in (Renyi(K, alpha), objective))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_order_one_is_the_limit():
    log_w = weights()
    torch.testing.assert_close(Renyi(K, 1 - 1e-7).bound(log_w), Renyi(K, 1).bound(log_w), rtol=0, atol=1e-5)


def test_orders_near_one_lose_no_precision():
    """In float32 as in float64, from either side, gradients too, by either formula."""
    log_w = weights()
    spread = (log_w - log_w.mean(0)).abs().max()
    for alpha in (1 - 1e-6, 1 + 1e-6, 1 - 1e-3, 0.999 * (1 - 1 / spread.item()), 0.91, 1.09):
        single = log_w.float().requires_grad_()
        bound = Renyi(K, alpha).bound(single)
        power = torch.tensor(1 - alpha, dtype=torch.float64)
        expected = ((power * log_w).logsumexp(0) - math.log(K)) / power
        torch.testing.assert_close(bound.double(), expected, rtol=1e-5, atol=1e-5)
        (gradient,) = torch.autograd.grad(bound.sum(), single)
        torch.testing.assert_close(gradient.double(), (power * log_w).softmax(0), rtol=1e-4, atol=1e-6)


def test_every_draw_falls_with_the_order_to_the_elbo_and_rises_to_the_maximum():
    log_w = weights()
    orders = [VRMax(K), *(Renyi(K, a) for a in (-500.0, -3.0, 0.0, 0.5, 0.9, 1.0, 2.0, 10.0))]
    bounds = [objective.bound(log_w) for objective in orders]
    for higher, lower in itertools.pairwise(bounds):
        assert (higher >= lower - 1e-9).all()
    torch.testing.assert_close(bounds[1], bounds[0], rtol=0, atol=math.log(K) / 500)
    assert (bounds[0] - bounds[3] <= math.log(K) + 1e-12).all()


def test_one_sample_is_the_elbos_whatever_the_order():
    log_w = weights()[:1]
    for objective in (VRMax(1), Renyi(1, -2.0), Renyi(1, 0.3), Renyi(1, 5.0)):
        torch.testing.assert_close(objective.bound(log_w), log_w[0])


def test_it_is_a_bound_for_positive_orders():
    log_w, exact = weights(2000), linear()[0].log_evidence(linear()[2])
    for alpha in (0.0, 0.5, 2.0):
        bound = Renyi(K, alpha).bound(log_w)  # (2000, 4)
        assert (standard_errors(bound, exact) < -3).all()
    assert (standard_errors(VRMax(K).bound(log_w), exact) > 3).any()  # which is none


def test_the_maximum_trains_on_the_largest_weight_alone():
    model, guide = pair("vae")
    x = images_for("vae", 1)
    loss = VRMax(5)(model, guide).train()
    terms = seeded(loss.terms, x)
    best = terms.elbo().argmax(0)
    parameters = list(loss.parameters())
    expected = torch.autograd.grad(-terms.elbo()[best, 0].mean(), parameters)
    found = torch.autograd.grad(seeded(loss, x), parameters)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_evaluation_is_the_elbo():
    model, guide = pair("vae")
    x = images_for("vae")
    loss = Renyi(7, -1.0)(model, guide)
    elbo = seeded(ELBO(7, kl=monte_carlo)(model, guide), x)
    assert seeded(loss.train(), x) < elbo
    torch.testing.assert_close(seeded(loss.eval(), x), elbo)


def test_mistakes_are_named():
    with pytest.raises(UsageError, match="k >= 1"):
        VRMax(0)
    with pytest.raises(UsageError, match="finite alpha"):
        Renyi(3, -math.inf)
