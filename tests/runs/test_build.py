"""Systems by name."""

from typing import get_args

import pytest
import torch

from tests.catalogue import ONE_A_FAMILY, experiment, images
from zoo import ELBO, ImportanceWeighted, System, build
from zoo.choices import OBJECTIVES
from zoo.errors import UsageError
from zoo.infer.objectives import ELBOLoss
from zoo.models.vae import vae


def test_a_system_is_what_its_experiment_says():
    system = experiment("vae_digits")
    assert isinstance(system, System)
    assert system.image_shape == (1, 8, 8)
    assert isinstance(system.objective, ELBO)
    assert isinstance(system.loss(), ELBOLoss)


def test_options_reach_the_networks_and_the_objective():
    system = build("biva_digits", latents=(3, 2), strides=(2, 1), kernels=(3, 3), filters=4, blocks=1)
    assert len(system.guide.layers) == 2
    assert isinstance(build("vae_digits", objective="ImportanceWeighted", k=3).objective, ImportanceWeighted)
    warm = build("vae_digits", warmup=10, free_bits=0.5, num_particles=2).loss()
    assert warm.beta.item() == pytest.approx(0.1)


def test_options_may_be_text():
    assert build("vae_digits", latent="5").experiment.option("latent") == 5


def test_the_count_of_parameters_is_of_those_that_are_trained():
    system = experiment("vae_digits")
    everything = sum(p.numel() for p in system.parameters())
    assert system.parameter_count() == everything
    frozen = next(system.parameters())
    frozen.requires_grad_(False)
    assert system.parameter_count() == everything - frozen.numel()


def test_colour_images_take_a_mixture():
    system = build("vae_digits", (3, 8, 8), likelihood="logistic_mixture", levels=4, channels=4)
    x = 2 * images(2, (3, 8, 8), dtype=torch.float32) - 1
    assert system.loss()(x).isfinite()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vae_digit", {}, "unknown experiment 'vae_digit'; did you mean vae_digits"),
        ("xyz", {}, "unknown experiment 'xyz'; zoo list has them all"),
        ("vae_digits", {"latnet": 3}, "unknown option 'latnet'; did you mean latent"),
        ("vae_digits", {"latent": 0}, "expected latent >= 1; got 0"),
        ("vae_digits", {"latent": "many"}, "expected latent to be an integer; got 'many'"),
        (
            "vae_digits",
            {"likelihood": "gauss"},
            "unknown likelihood 'gauss'; did you mean gaussian",
        ),
        ("biva_digits", {"latents": (4, 3)}, "strides of one entry or one per layer, 2; got"),
        (
            "biva_digits",
            {"latents": (4,), "strides": (1,), "kernels": (3,)},
            "needs at least two stages",
        ),
        ("biva_digits", {"kernels": (3, 2, 3)}, "odd kernels"),
        ("biva_digits", {"dropout_q": 1.0}, "0 <= dropout_q < 1; got 1.0"),
        ("vae_digits", {"image_shape": (8, 8)}, "three positive integers"),
        ("vae_digits", {"image_shape": (1, 0, 8)}, "three positive integers"),
    ],
)
def test_mistakes_are_explained(name, options, message):
    with pytest.raises(UsageError, match=message):
        build(name, **options)


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_every_objective_is_made_by_its_name(name):
    system = build("vae_digits", channels=4, objective=name)
    assert type(system.objective).__name__ == name
    assert system.loss().stats == {}


@pytest.mark.parametrize("name", ["ImportanceWeighted", "DReG", "Renyi", "VRMax"])
def test_the_samples_of_an_objective_are_an_option(name):
    assert build("vae_digits", channels=4, objective=name, k="3").objective.k == 3


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("option", ["prior", "posterior", "likelihood"])
def test_every_part_is_made_by_its_name_or_refused_in_a_line(option, spatial):
    (annotation,) = get_args(vae.__annotations__[option])[1:]
    refused = [name for name in annotation.names() if not _is_built({option: name, "spatial": spatial})]
    assert len(refused) < len(annotation.names())


def _is_built(options):
    """Any error but a refusal ends the test."""
    try:
        build("vae_digits", channels=4, **options)
    except UsageError:
        return False
    return True


@pytest.mark.parametrize("name", ONE_A_FAMILY)
def test_the_same_seed_builds_the_same_system(name):
    torch.manual_seed(0)
    one = experiment(name).state_dict()
    torch.manual_seed(0)
    two = experiment(name).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
