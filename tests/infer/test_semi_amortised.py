"""The guide that refines its encoder's answer."""

import pyro.distributions as dist
import pytest
import torch
from torch import nn

from tests.catalogue import images, pair
from tests.contracts import seeded
from tests.linear_gaussian import one_layer
from zoo import ELBO, AmortizedGuide, SemiAmortizedGuide, log_likelihood, log_weights
from zoo.errors import UsageError


class Constant(nn.Module):
    """N(loc, exp(log_scale)^2), the same parameters for every image."""

    def __init__(self, value=0.4):
        super().__init__()
        self.parameters_of_all = nn.Parameter(torch.full((4,), value, dtype=torch.float64))

    def encode(self, x):
        return self.parameters_of_all.expand(len(x), -1)

    def distribution(self, parameters):
        loc, log_scale = parameters.chunk(2, dim=1)
        return dist.Normal(loc, log_scale.exp()).to_event(1)

    def forward(self, x):
        return self.distribution(self.encode(x))


def refining(model, **options):
    return SemiAmortizedGuide(Constant(), model=model, site="z_1", **options)


def best_diagonal(model, x):
    """The normal of independent coordinates that is nearest in KL(q || p(z | x))."""
    exact = model.posterior("z_1", x=x)
    return exact.mean, exact.precision_matrix.diagonal(dim1=-2, dim2=-1).rsqrt()


def test_many_steps_lead_to_the_best_diagonal_normal():
    model = one_layer()
    x = model.images()
    guide = refining(model, steps=120, learning_rate=0.05, samples=300, clip=1e3).eval()
    with torch.no_grad():
        q = guide.head.distribution(guide.encode(x)).base_dist
    loc, scale = best_diagonal(model, x)
    torch.testing.assert_close(q.loc, loc, rtol=0, atol=0.15)
    torch.testing.assert_close(q.scale, scale.expand_as(q.scale), rtol=0.2, atol=0)  # of 300 samples


def test_every_step_raises_the_bound():
    model = one_layer()
    x = model.images()
    bounds = []
    for steps in (0, 1, 3, 10, 30):
        guide = refining(model, steps=steps, samples=50).eval()
        bounds.append(guide.bound(x, guide.encode(x)).mean().item())
    assert bounds == sorted(bounds)
    assert bounds[-1] > bounds[0] + 1
    assert bounds[-1] < model.log_evidence(x).mean() + 0.3  # with the noise that it was refined for


def test_no_steps_are_amortised_inference():
    model, guide = pair("vae")
    refined = SemiAmortizedGuide(guide.head, model=model, steps=0)
    x = images()
    ours, theirs = (seeded(ELBO()(model, g), x) for g in (refined, AmortizedGuide(guide.head)))
    torch.testing.assert_close(ours, theirs)


def test_the_gradient_goes_through_the_steps():
    """Against finite differences of the bound after two steps."""
    model = one_layer()
    x = model.images(2)
    guide = refining(model, steps=2, samples=3).eval()

    def after(parameters):
        return guide.bound(x, guide.refined(x, parameters), seed=1).sum()

    start = torch.full((2, 4), 0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(after, start)


def test_large_gradients_are_clipped():
    model = one_layer()
    x = 1e3 * model.images()
    guide = refining(model, steps=1, learning_rate=1.0, clip=0.5).eval()
    step = guide.encode(x) - guide.head.encode(x)
    torch.testing.assert_close(step.norm(dim=1), torch.full((4,), 0.5, dtype=torch.float64))


def test_weights_are_unbiased_and_the_bound_is_tighter():
    model = one_layer()
    x = model.images()
    found = {}
    for steps in (0, 20):
        found[steps] = log_likelihood(model, refining(model, steps=steps, samples=20), x, 4000, seed=0)
        error = (found[steps].log_likelihood - model.log_evidence(x)) / found[steps].sampling_stderr
        assert steps == 0 or error.abs().max() < 4
        assert (found[steps].elbo < model.log_evidence(x)).all()
    assert (found[20].elbo > found[0].elbo).all()


def test_evaluation_is_a_function_of_the_seed_and_leaves_no_gradient():
    model = one_layer()
    guide = refining(model, steps=3)
    first, second = (log_weights(model, guide, model.images(), 6, seed=1, chunk=c) for c in (6, 2))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-9)
    assert guide.head.parameters_of_all.grad is None


def test_model_and_encoder_train_together():
    model, guide = pair("vae")
    refined = SemiAmortizedGuide(guide.head, model=model, steps=2)
    loss = ELBO()(model, refined).train()
    loss(images()).backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in model.parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in refined.parameters())


@pytest.mark.parametrize(
    "options", [{"steps": -1}, {"learning_rate": 0.0}, {"momentum": 1.0}, {"clip": 0.0}, {"samples": 0}]
)
def test_mistakes_are_named(options):
    with pytest.raises(UsageError, match="expected"):
        refining(one_layer(), **options)
