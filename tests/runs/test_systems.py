"""Laws of every pair of model and guide, and of every experiment at many image shapes."""

import copy
import pickle

import pyro.poutine as poutine
import pytest
import torch
from torch import nn

from tests.catalogue import (
    EXPERIMENTS,
    IMAGE,
    ONE_A_FAMILY,
    PAIRS,
    SHAPES,
    SHARING,
    experiment,
    images_for,
    images_of,
    pair,
)
from tests.contracts import seeded
from zoo import ELBO, sample
from zoo.analysis.sampling import reconstruct
from zoo.errors import UsageError
from zoo.infer.aggressive import AggressiveLoss
from zoo.infer.joint import Joint

pairs = pytest.mark.parametrize("name", PAIRS)
experiments = pytest.mark.parametrize("name", EXPERIMENTS)
one_a_family = pytest.mark.parametrize("name", ONE_A_FAMILY)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def latents(program, *args, **kwargs):
    """The latent sites of a program and their shapes."""
    trace = poutine.trace(program).get_trace(*args, **kwargs)
    return {name: trace.nodes[name]["value"].shape for name in trace.stochastic_nodes}


def backward(loss, x):
    """A step of each half, where an objective trains one at a time."""
    for _ in range(1 + isinstance(loss, AggressiveLoss)):
        loss(x).backward()


def assert_works(model, guide, x, objective=ELBO()):  # noqa: B008
    """Model and guide share their sites; loss, gradients, samples and reconstructions are as they should."""
    assert latents(model, x) == latents(guide, x)
    loss = objective(model, guide).train()
    backward(loss, x)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())
    assert sample(model, 2).shape == (2, *x.shape[1:])
    assert reconstruct(model, guide, x).shape == x.shape


@pairs
def test_model_and_guide_share_sites_and_train(name):
    model, guide = pair(name)
    assert_works(model, guide, images_for(name))


@pairs
@shapes
def test_pairs_take_any_image_shape(name, shape):
    model, guide = pair(name, shape, dtype=torch.float32)
    assert_works(model, guide, images_for(name, 2, shape, dtype=torch.float32))


SQUEEZING = ("glow", "flow_plus_plus")  # what halves the image's sides


def refusal(name, shape):
    """What is said where an experiment cannot be of a shape."""
    channels, height, width = shape
    if name.startswith(SQUEEZING) and (height % 2 or width % 2):
        return rf"even height and width; got {height} x {width}"
    if name in ("pixelcnnpp_digits", "pixelcnnpp_mnist") and channels > 1:
        return "draws the . channels of a pixel at once: take likelihood=logistic_mixture"
    return None


@one_a_family
@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 5, 3)], ids=str)
def test_experiments_take_any_image_shape(name, shape):
    """But for odd sides where a flow squeezes squares of pixels, and Bernoulli colours in PixelCNN++."""
    if message := refusal(name, shape):
        with pytest.raises(UsageError, match=message):
            experiment(name, shape)
        return
    system = experiment(name, shape)
    assert_works(system.model, system.guide, images_of(system), system.objective)


@one_a_family
def test_experiments_build_on_the_meta_device(name):
    with torch.device("meta"):
        system = experiment(name)
    assert all(p.is_meta for p in system.parameters())
    assert system.parameter_count() == experiment(name).parameter_count()


@pairs
def test_pairs_build_on_the_meta_device(name):
    with torch.device("meta"):
        both = nn.ModuleList(PAIRS[name](IMAGE))
    assert all(p.is_meta for p in both.parameters())


@pairs
def test_float64_is_kept(name):
    model, guide = pair(name)
    sites = Joint(model, guide, images_for(name)).sample()
    for site in sites.values():
        assert site.value.dtype == site.log_p().dtype == torch.float64


@pairs
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_have_the_parameters_type(name, dtype):
    model, _ = pair(name, dtype=dtype)
    assert sample(model, 2).dtype == dtype


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda both: pickle.loads(pickle.dumps(both)),
}


@pairs
def test_a_copied_pair_gives_the_same_loss_and_shares_nothing(name):
    model, guide = pair(name)
    x = images_for(name)
    copies = [copied((model, guide)) for copied in COPIES.values()]
    expected = seeded(ELBO()(model, guide), x)
    with torch.no_grad():
        for p in [*model.parameters(), *guide.parameters()]:
            p.fill_(0.1)
    assert seeded(ELBO()(model, guide), x) != expected
    for same_model, same_guide in copies:
        assert same_guide.model is None or same_guide.model is same_model
        assert seeded(ELBO()(same_model, same_guide), x) == expected


@pytest.mark.parametrize("name", ["vae", "biva of 2 layers"])
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copied_loss_gives_the_same_value(name, copied):
    loss = ELBO(beta=0.5)(*pair(name))
    loss.schedule(0)
    x = images_for(name)
    assert seeded(copied(loss), x) == seeded(loss, x)


@pairs
def test_state_makes_a_fresh_pair_the_same(name):
    model, guide = pair(name)
    x = images_for(name)
    fresh_model, fresh_guide = PAIRS[name](IMAGE)
    fresh = ELBO()(fresh_model.double(), fresh_guide.double()).eval()
    with torch.no_grad():
        for p in fresh.parameters():
            p.add_(1)
    loss = ELBO()(model, guide).eval()
    assert seeded(fresh, x) != seeded(loss, x)
    fresh.load_state_dict(loss.state_dict(), strict=True)
    assert seeded(fresh, x) == seeded(loss, x)


@pairs
def test_parameters_belong_to_model_and_guide_only_where_the_prior_is_made_of_the_posterior(name):
    model, guide = pair(name)
    shared = {id(p) for p in model.parameters()} & {id(p) for p in guide.parameters()}
    of_prior = model.prior.posterior.parameters() if name in SHARING else ()
    assert shared == {id(p) for p in of_prior}


@experiments
def test_experiments_train_at_their_own_shape(name):
    system = experiment(name)
    x = images_of(system, 1 if max(system.image_shape) > 64 else 2)
    backward(system.loss(), x)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in system.parameters())
