"""Our objectives beside Pyro's own: the same estimate, the same gradient, and Pyro's two ways to train."""

import copy

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO

from tests.catalogue import IMAGE, PAIRS, WITHOUT_DROPOUT, images, images_for, pair, randomised
from tests.contracts import assert_all_close, loss_and_gradients, seeded, standard_errors
from zoo import ELBO, ImportanceWeighted, LearnedNormal
from zoo.infer.objectives import monte_carlo

without_dropout = pytest.mark.parametrize("name", WITHOUT_DROPOUT)
VAES = [name for name in WITHOUT_DROPOUT if name.startswith("vae")]


def mean(elbo, model, guide):
    """Pyro's loss, which is a sum, as nats an image."""
    loss = elbo(model, guide)
    return lambda x: loss(x) / len(x)


def parameters(*modules):
    return [p for module in modules for p in module.parameters()]


@without_dropout
def test_monte_carlo_elbo_is_pyros_trace_elbo(name):
    model, guide = pair(name)
    x = images_for(name)
    both = parameters(model, guide)
    ours = loss_and_gradients(ELBO(kl=monte_carlo)(model, guide), x, parameters=both)
    theirs = loss_and_gradients(mean(Trace_ELBO(), model, guide), x, parameters=both)
    assert_all_close([ours[0], *ours[1]], [theirs[0], *theirs[1]])


@pytest.mark.parametrize("name", VAES)
def test_closed_form_elbo_of_a_vae_is_pyros_mean_field_elbo(name):
    model, guide = pair(name)
    x = images_for(name)
    both = parameters(model, guide)
    ours = loss_and_gradients(ELBO()(model, guide), x, parameters=both)
    theirs = loss_and_gradients(mean(TraceMeanField_ELBO(), model, guide), x, parameters=both)
    assert_all_close([ours[0], *ours[1]], [theirs[0], *theirs[1]])


@pytest.mark.parametrize(("name", "std"), [("vae", 0.4), ("biva of 2 layers", 0.2)])
def test_closed_form_elbo_is_the_monte_carlo_one_in_expectation(name, std):
    """The loss, and its derivative in one direction of all parameters, over repeated draws.

    Both take the same draws, so that only KLs differ, which are large at these parameters: an error of a
    tenth is more than four standard errors.
    """
    model, guide = (randomised(module, std=std, seed=seed) for seed, module in enumerate(pair(name)))
    x = images_for(name, 2).repeat(30, 1, 1, 1)
    both = parameters(model, guide)
    direction = [torch.randn_like(p) for p in both]
    differences = []
    for seed in range(20):
        sides = []
        for options in ({"kl": monte_carlo}, {}):
            loss = ELBO(**options)(model, guide)
            value, gradients = loss_and_gradients(loss, x, parameters=both, seed=seed)
            slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
            sides.append(torch.stack([value, slope]))
        differences.append(sides[0] - sides[1])
    differences = torch.stack(differences)
    assert (standard_errors(differences, 0).abs() < 4).all()
    assert standard_errors(differences[:, 0], 0.1 * loss.stats["kl"]).abs() > 4


@without_dropout
def test_many_particles_are_the_mean_over_copies_of_the_images(name):
    model, guide = pair(name)
    x = images_for(name)
    both = parameters(model, guide)
    particles = loss_and_gradients(ELBO(num_particles=3)(model, guide), x, parameters=both)
    copies = loss_and_gradients(ELBO()(model, guide), x.repeat(3, 1, 1, 1), parameters=both)
    assert_all_close([particles[0], *particles[1]], [copies[0], *copies[1]])


def moved(module, before):
    after = module.state_dict()
    return {name: not torch.equal(after[name], before[name]) for name, _ in module.named_parameters()}


def fresh(name, seed=0):
    torch.manual_seed(seed)
    return PAIRS[name](IMAGE)


def train_by_elbo_module(model, guide, x, steps):
    loss = Trace_ELBO()(model, guide)
    return optimise(loss, loss.parameters(), x, steps)


def train_by_our_loss(model, guide, x, steps):
    loss = ELBO()(model, guide)
    return optimise(loss, loss.parameters(), x, steps)


def train_by_importance_weighting(model, guide, x, steps):
    loss = ImportanceWeighted(3)(model, guide)
    return optimise(loss, loss.parameters(), x, steps)


def optimise(loss, parameters, x, steps):
    optimiser = torch.optim.Adam(parameters, lr=2e-2)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        value = loss(x)
        value.backward()
        optimiser.step()
        losses.append(value.item())
    return losses


def train_by_svi(model, guide, x, steps):
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 2e-2}), Trace_ELBO())
    return [svi.step(x) for _ in range(steps)]


WAYS = {
    "our ELBO": train_by_our_loss,
    "our importance-weighted bound": train_by_importance_weighting,
    "Pyro's ELBO as a module": train_by_elbo_module,
    "Pyro's classic SVI": train_by_svi,
}


def assert_trains(train, model, guide, x, steps=15):
    before = [copy.deepcopy(m.state_dict()) for m in (model, guide)]
    losses = train(model, guide, x, steps)
    assert sum(losses[-5:]) < sum(losses[:5])
    still = {
        path
        for m, b in zip((model, guide), before, strict=True)
        for path, is_moved in moved(m, b).items()
        if not is_moved
    }
    assert not still


@pytest.mark.parametrize(
    ("name", "train"),
    [("vae, flow posterior", train_by_our_loss), *(("biva of 3 layers", train) for train in WAYS.values())],
)
def test_training_lowers_the_loss_and_moves_every_parameter(name, train):
    model, guide = fresh(name)
    assert_trains(train, model, guide, images(8, dtype=torch.float32))


def test_a_second_pair_of_the_same_class_trains_in_the_same_process():
    """Pyro's parameter store is global: a name that is taken must not swallow the second model."""
    x = images(8, dtype=torch.float32)
    for seed in (1, 2):
        assert_trains(train_by_svi, *fresh("biva of 2 layers", seed), x)


def test_one_model_serves_two_svi_runs():
    model, guide = fresh("vae")
    x = images(8, dtype=torch.float32)
    for _ in range(2):
        assert_trains(train_by_svi, model, guide, x)
    assert len(pyro.get_param_store()) == len(parameters(model, guide))


@pytest.mark.parametrize("train", [train_by_our_loss, train_by_svi])
def test_a_deepcopied_pair_trains_and_leaves_the_first_alone(train):
    x = images(8, dtype=torch.float32)
    first = fresh("biva of 2 layers")
    train(*first, x, 2)
    kept = [copy.deepcopy(m.state_dict()) for m in first]
    assert_trains(train, *copy.deepcopy(first), x)
    for module, before in zip(first, kept, strict=True):
        assert not any(moved(module, before).values())


def test_classic_svi_takes_the_same_step_as_the_module():
    torch.manual_seed(0)
    x = images(8, dtype=torch.float32)
    one = fresh("biva of 2 layers")
    two = copy.deepcopy(one)
    seeded(train_by_svi, *one, x, 3)

    def sum_of_images(model, guide, x, steps):
        loss = Trace_ELBO()(model, guide)
        return optimise(loss, loss.parameters(), x, steps)

    seeded(sum_of_images, *two, x, 3)
    assert_all_close(parameters(*one), parameters(*two), atol=1e-5, rtol=1e-4)


def test_svi_leaves_frozen_parameters_alone():
    model, guide = fresh("vae")
    for p in model.parameters():
        p.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    train_by_svi(model, guide, images(8, dtype=torch.float32), 3)
    assert not any(moved(model, before).values())


def test_a_part_that_is_swapped_in_later_trains_by_svi():
    model, guide = fresh("vae")
    model.prior = LearnedNormal(4)
    assert_trains(train_by_svi, model, guide, images(8, dtype=torch.float32))
