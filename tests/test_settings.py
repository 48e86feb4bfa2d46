"""Options read from signatures, and text converted to them."""

import inspect
from functools import partial
from typing import Annotated, Literal

import pytest

from zoo.conversion import Natural, Odd, Positive, Probability, convert, is_convertible
from zoo.errors import UsageError
from zoo.experiments import find, names
from zoo.parts.priors import VampPrior
from zoo.settings import Config, construct, options_of, passes_on


def inner(*, width: int = 4, rate: Probability = 0.1) -> tuple:
    """Inner.

    Args:
        width: of a layer.
        rate: of dropout,
            between layers.
    """
    return width, rate


@passes_on(inner, supplied=("rate",))
def outer(shape, *, depth: int = 2, **options) -> tuple:
    """Outer.

    Args:
        shape: of the image.
        depth: layers.
        options: of `inner`.
    """
    return shape, depth, inner(**options)


def test_options_that_are_passed_on_are_in_the_signature_with_their_meaning():
    options = options_of(outer)
    assert list(options) == ["depth", "width"]
    assert options["width"].meaning == "of a layer."
    assert options_of(inner)["rate"].meaning == "of dropout, between layers."
    assert outer((1, 2, 3), width=7) == ((1, 2, 3), 2, (7, 0.1))
    assert str(inspect.signature(outer)) == "(shape, *, depth: int = 2, width: int = 4) -> tuple"


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("3", int, 3),
        ("1e-3", float, 1e-3),
        ("true", bool, True),
        ("none", int | None, None),
        ("5", int | None, 5),
        ("16,8,4", tuple[int, ...], (16, 8, 4)),
        ("7", tuple[int, ...], (7,)),
        ("true,no", tuple[bool, ...], (True, False)),
        ("a", Literal["a", "b"], "a"),
        ("True", Literal[True, "b"], True),
        ("0", Natural, 0),
        ("0", Natural | None, 0),
        ("5", Odd, 5),
        (2.0, int, 2),
    ],
)
def test_text_becomes_the_type(text, hint, value):
    assert is_convertible(hint)
    assert convert("it", text, hint) == value


@pytest.mark.parametrize(
    ("text", "hint", "message"),
    [
        ("0", int, "expected it >= 1; got 0"),
        ("4", Odd, "expected an odd it; got 4"),
        ("1", Probability, "expected 0 <= it < 1; got 1.0"),
        ("0", Positive, "expected it > 0.0; got 0.0"),
        ("1e400", float, "a finite number"),
        ("", tuple[int, ...], "a list, comma between, each an integer"),
        ("maybe", bool, "true or false"),
        ("c", Literal["a", "b"], "one of a, b"),
        ("2.5", Natural | None, "an integer x >= 0, or none"),
        (str(2**63), int, r"it < 2\^63"),
        ("2,,2", tuple[int, ...], "a list, comma between"),
        ("2.5", int | None, "an integer, or none"),
    ],
)
def test_what_does_not_fit_is_explained(text, hint, message):
    with pytest.raises(UsageError, match=message):
        convert("it", text, hint)


def test_a_type_that_text_cannot_express_is_no_option():
    assert not is_convertible(Annotated[object, "x"])
    assert not is_convertible(int | tuple[int, ...])


def test_a_part_is_named_and_brings_its_options():
    vae = find("vae_digits")
    with pytest.raises(UsageError, match="belongs to prior=MixtureOfGaussians"):
        vae.override({"components": 3})
    mixed = vae.override({"components": "3", "prior": "MixtureOfGaussians"})
    assert mixed.options()["prior"] == "MixtureOfGaussians"
    assert mixed.option("components") == mixed.options()["prior.components"] == 3
    assert find("vae_digits").override(mixed.options()).options() == mixed.options()


def test_a_context_reaches_what_asks_for_it():
    assert construct(lambda size, encoder: (size, encoder), 3, encoder="e", shape="s") == (3, "e")
    assert construct(lambda size: size, 3, encoder="e") == 3


def test_a_part_that_needs_more_than_the_builder_knows_is_named():
    for part in (VampPrior, partial(VampPrior, num_pseudo_inputs=3)):
        with pytest.raises(UsageError, match="VampPrior needs posterior, which this system does not supply"):
            construct(part, 3, image_shape=(1, 2, 2))


def test_the_nearest_to_the_top_has_the_short_name():
    experiment = find("vae_digits").override({"prior": "maf_prior", "posterior": "iaf_posterior"})
    with pytest.raises(UsageError, match=r"'layers' may be prior\.layers or posterior\.layers: say which"):
        experiment.override({"layers": 3})
    assert experiment.override({"prior.layers": 3}).options()["posterior.layers"] == 2


@pytest.mark.parametrize("name", names())
def test_every_option_of_an_experiment_has_a_meaning_and_survives_json(name):
    experiment = find(name)
    assert [key for key, option, _ in experiment.described() if not option.meaning] == []
    assert experiment.override(experiment.options()).options() == experiment.options()


def test_a_config_builds_and_names_what_it_builds():
    config = Config("zoo.parts.priors.LearnedNormal")
    assert config(3)().event_shape == (3,)
