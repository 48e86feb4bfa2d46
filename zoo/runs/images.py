"""Checks of a system, of its images and of the memory for it, before anything is written."""

import os

import torch

from zoo.data import ImageData
from zoo.errors import UsageError, ZooError
from zoo.experiments import Experiment
from zoo.runs.system import ENCODINGS, System

BYTES_A_PARAMETER = 16  # itself, its gradient and two moments, float32


def require_images(data: ImageData, split: str, images: int | None) -> None:
    """Check that there are as many images to evaluate as are asked for, and at least one.

    Raises:
        UsageError: if there are not.
    """
    available = len(getattr(data, split))
    if not available:
        raise UsageError(f"{data.name} has no {split} images here: take another --split")
    if images is not None and not 1 <= images <= available:
        raise UsageError(f"expected 1 to {available} images, all of the {split} set; got {images}")


def require_fit(system: System, data: ImageData) -> None:
    """Check that the images have the values that the system's likelihood, or its model, is a density of.

    Raises:
        UsageError: if they have not.
    """
    takes = getattr(system.model, "takes", None)
    if takes not in ENCODINGS:
        raise UsageError(
            f"expected a model whose `takes` names the encoding of its images, {', '.join(ENCODINGS)}, as a "
            f"zoo.Program's likelihood does; got {takes!r} of {type(system.model).__name__}"
        )
    binary = system.experiment.option("binarize") != "none"
    if system.model.takes == "binary":
        if not binary:
            raise UsageError(
                "a Bernoulli likelihood is for binary images: add --set likelihood=logistic_mixture"
            )
        return
    name = type(getattr(system.model, "likelihood", system.model)).__name__
    if system.levels is None:
        return
    if binary:
        raise UsageError(f"{name} is for grey levels: add --set binarize=none")
    if system.levels != data.levels:
        raise UsageError(
            f"the images have {data.levels} levels, the {name} {system.levels}: add "
            f"--set levels={data.levels}"
        )


def require_choice(experiment: Experiment, data: ImageData) -> None:
    """Check that there are images to choose the best epoch or the last one by, where that is asked for.

    Raises:
        UsageError: if there are not.
    """
    wanted = experiment.option("choose") == "best" or experiment.option("patience") is not None
    if wanted and not len(data.validation):
        raise UsageError(
            f"choose=best and patience go by the validation ELBO, and {data.name} has no validation images "
            "here: add --set validation=N, or --set choose=last --set patience=none"
        )


def require_learned_guide(system: System) -> None:
    """Check that the guide has parameters, where the objective is about a posterior that is learned.

    Raises:
        UsageError: if it has none, as that of a density of images.
    """
    if system.objective.of_posterior and not any(p.requires_grad for p in system.guide.parameters()):
        raise UsageError(
            f"{type(system.objective).__name__} is for a guide that is learned; that of "
            f"{system.experiment.name} has no parameters"
        )


def require_memory(experiment: Experiment, image_shape: tuple[int, int, int]) -> None:
    """Check that the parameters and the optimiser's two moments of each can be held by this machine.

    Raises:
        ZooError: if they cannot; nothing has been allocated then.
    """
    with torch.device("meta"):
        count = System(experiment, image_shape).parameter_count()
    needed, memory = BYTES_A_PARAMETER * count, _memory()
    if needed > memory:
        raise ZooError(
            f"out of memory: {count:,} parameters and what training keeps of them need {needed / 2**30:,.0f} "
            f"GiB, this machine has {memory / 2**30:,.0f}: take a smaller model"
        )


def _memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
