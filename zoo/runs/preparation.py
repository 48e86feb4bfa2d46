"""What a training run begins with: a fresh system, its batches, its labels and its first parameters."""

from functools import partial
from typing import Any

import torch

from zoo.data import Batches, ImageData
from zoo.data.labelled import labelled_subset
from zoo.errors import UsageError
from zoo.experiments import Experiment
from zoo.infer.initialisation import initialise
from zoo.options.semi_supervised import SemiSupervisedOptions
from zoo.runs.system import System, load
from zoo.seeds import mixed_seed, seeded_generator
from zoo.training import parallel

INITIALISING = 50  # training images that initialise weight-normalised layers


def prepare(
    experiment: Experiment, data: ImageData, *, seed: int = 0, device: str | torch.device = "cpu"
) -> tuple[System, Batches]:
    """An experiment's system with fresh parameters, and its batches.

    Raises:
        UsageError: if there cannot be one for these images; nothing has been written then.
    """
    torch.manual_seed(seed)
    system = System(experiment, data.image_shape)
    if begin := getattr(experiment.system, "begin", None):
        begin(system.model, system.guide, load)
    _require_choice(experiment, data)
    give_labels(system, data)
    batches = Batches(
        data.train,
        min(experiment.training.batch_size, len(data.train)),
        encoding=system.encoding,
        levels=data.levels,
        seed=seed,
        rank=parallel.rank(),
        world_size=parallel.world_size(),
    ).to(device)
    return system, batches


def classifies(system: System) -> bool:
    """Whether a system's guide has a posterior of labels."""
    return isinstance(system.experiment.objective, SemiSupervisedOptions)


def give_labels(system: System, data: ImageData) -> None:
    """Give a semi-supervised system the labelled images to learn from; others need none.

    Raises:
        DataError: if the images have not the labels that the experiment asks for.
    """
    options: Any = system.experiment.objective
    if classifies(system):
        classes = system.experiment.system.classes
        chosen = labelled_subset(data, options.labels, classes=classes, seed=options.labels_seed)
        y = torch.eye(classes)[chosen.labels]
        encoding = partial(system.encoding, levels=data.levels)
        system.objective = options.build(labelled=(chosen.images, y), encoding=encoding)


def initialise_by_data(
    system: System, data: ImageData, *, seed: int = 0, device: str | torch.device = "cpu"
) -> None:
    """Initialise a system's weight-normalised layers, if it has any, on training images (`zoo.initialise`).

    Raises:
        UsageError: if there are too few images.
    """
    generator = seeded_generator("initialisation", seed)
    chosen = torch.randperm(len(data.train), generator=generator)[:INITIALISING]
    x = system.encoding(data.train[chosen], data.levels, generator).to(device)
    torch.manual_seed(mixed_seed("initialisation", seed))
    try:
        initialise(system.model.to(device), system.guide.to(device), x)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _require_choice(experiment: Experiment, data: ImageData) -> None:
    if experiment.training.choose == "best" and not len(data.validation):
        raise UsageError(
            f"choose=best takes the epoch with the best validation ELBO, and {data.name} has no validation "
            "images here: add --set validation=N, or --set choose=last"
        )
