"""What a run is opened from: its folder, or a file of its weights."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.errors import CheckpointError, UsageError
from zoo.experiments.records import Record
from zoo.runs.recording import recorded
from zoo.training.files import WEIGHTS
from zoo.training.run_folder import RunFolder
from zoo.training.weights import Weights, load_weights

OF_THIS_MACHINE = ("data_root", "finetuned_from")  # of a configuration: paths


def opened(run: str | Path) -> RunFolder | Weights:
    """The run folder, or what the weights file holds.

    Raises:
        UsageError: if there is neither.
        CheckpointError: if it is damaged.
    """
    path = Path(run)
    return load_weights(path) if path.suffix == WEIGHTS and path.is_file() else RunFolder.open(path)


def exported(begun: RunFolder | Weights) -> dict[str, Any]:
    """What a weights file says of a run: its configuration, and its record where it has been evaluated."""
    if isinstance(begun, Weights):
        return begun.about
    config = {key: v for key, v in begun.config.items() if key not in OF_THIS_MACHINE}
    record = record_of(begun)
    return {"config": config, **({"record": record.as_json()} if record else {})}


def record_of(begun: RunFolder | Weights) -> Record | None:
    """The record, None where the run has not been evaluated.

    Raises:
        CheckpointError: if weights hold something else in its place.
    """
    if isinstance(begun, RunFolder):
        with suppress(UsageError):
            return recorded(begun)
        return None
    try:
        return Record.of_json(begun.about["record"]) if "record" in begun.about else None
    except (TypeError, AttributeError) as error:
        raise CheckpointError(f"{begun.path} holds no record of a run: {error}; export it again") from error
