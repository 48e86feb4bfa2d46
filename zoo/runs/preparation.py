"""What a run needs before its first step: a system, batches, first parameters, and what watches them."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo.data import Batches, ImageData
from zoo.data.protocol import Protocol
from zoo.errors import UsageError
from zoo.experiments import Experiment
from zoo.infer.initialisation import initialise, start_at_images
from zoo.runs.images import require_choice, require_fit, require_learned_guide, require_memory
from zoo.runs.monitor import Monitor
from zoo.runs.system import System
from zoo.seeds import mixed_seed, seeded_generator
from zoo.training import parallel
from zoo.training.checkpoint import has_checkpoint, load_latest
from zoo.training.run_folder import RunFolder

INITIALISING = 50  # training images of a data-dependent initialisation of layers
STARTING = 5000  # and at most so many of parts that start at images


def prepared(
    experiment: Experiment, data: ImageData, *, seed: int, device: torch.device
) -> tuple[System, Batches]:
    """The system with fresh parameters, and its batches.

    Raises:
        UsageError: if the images do not suit the system.
        ZooError: if the memory cannot hold it.
    """
    require_memory(experiment, data.image_shape)
    torch.manual_seed(seed)
    system = System(experiment, data.image_shape)
    require_fit(system, data)
    require_choice(experiment, data)
    if experiment.begin is not None:
        experiment.begin(system)
    require_learned_guide(system)
    system.objective.prepare(system.model, data, system.encoding)
    batches = Batches(
        data.train,
        min(experiment.option("batch_size"), len(data.train)),
        encoding=system.encoding,
        levels=data.levels,
        seed=seed,
        rank=parallel.rank(),
        world_size=parallel.world_size(),
    )
    return system, batches.to(device)


def initialise_on(system: System, data: ImageData, *, seed: int, device: torch.device) -> None:
    """Data-dependent initialisation; see `start_at_images` and `zoo.initialise`.

    Raises:
        UsageError: if there are too few images, or a part cannot start at any.
    """
    generator = seeded_generator("initialisation", seed)
    order = torch.randperm(len(data.train), generator=generator)

    def first(count: int) -> Tensor:
        return system.encoding(data.train[order[:count]], data.levels, generator).to(device)

    x = first(INITIALISING)
    torch.manual_seed(mixed_seed("initialisation", seed))
    pair = system.model.to(device), system.guide.to(device)
    try:
        start_at_images(*pair, lambda: first(STARTING))
        initialise(*pair, x)
    except ValueError as error:
        raise UsageError(str(error)) from error


def monitor(system: System, data: ImageData, protocol: Protocol) -> Monitor:
    """What watches the training of the system, on validation images."""
    option = system.experiment.option
    x = protocol.held_out(data, "validation", system.encoding)
    epochs = option("epochs")
    if option("steps") is not None:
        epochs = math.ceil(option("steps") * option("batch_size") / len(data.train))
    decides = option("choose") == "best" or option("patience") is not None
    images = len(data.train)
    return Monitor(system, x, data.validation_labels, epochs=epochs, images=images, decides=decides)


def record_changes(folder: RunFolder, changed: Mapping[str, Any]) -> None:
    """Write changed options into config.json, with the step from which they hold."""
    begun = has_checkpoint(folder.checkpoints)
    folder.change_options(load_latest(folder.checkpoints)["step"] if begun else 0, changed)
