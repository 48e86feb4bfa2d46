"""What a run is opened from: its folder, or weights: a file, or those of a name."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.errors import CheckpointError, UsageError
from zoo.experiments.pretrained import FILE, HUB, is_weights, located
from zoo.experiments.records import Record
from zoo.nn.channels_last import lay_channels_last
from zoo.runs.configuration import configured
from zoo.runs.hub import fetched
from zoo.runs.recording import recorded
from zoo.runs.system import System
from zoo.training.checkpoint import load_latest
from zoo.training.checkpoint_format import BEST
from zoo.training.run_folder import RunFolder
from zoo.training.state import matching_checkpoint
from zoo.training.weights import Weights, load_weights

OF_THIS_MACHINE = ("data_root", "finetuned_from")  # of a configuration: paths


def opened(run: str | Path) -> RunFolder | Weights:
    """The run folder, or the weights of a file or of a name; a path where something is wins over a name.

    Raises:
        UsageError: if there is neither.
        CheckpointError: if it is damaged.
    """
    path = located(run)
    if not is_weights(path):
        return RunFolder.open(path)
    if str(run).startswith(HUB):
        path = fetched(str(run))
    return load_weights(path / FILE if path.is_dir() else path)


def load(run: str | Path, *, device: Any = "cpu") -> System:
    """The trained system of a run folder, of a weights file or of a name, ``zoo.load("biva_digits")``.

    Of a run folder: with the averaged parameters where the run kept them, of its last checkpoint, or of the
    best epoch so far, where the run was trained with choose="best".

    Args:
        run: a run folder; a file by `Run.export`, or a folder by `publish` with one; the name of weights that
            come with the zoo (`zoo list` marks them), where nothing is at a path of that name; or
            ``hub:owner/name`` of the Hugging Face hub, maybe with ``@revision``.
        device: where it goes.

    Raises:
        UsageError: if there is no such run.
        CheckpointError: if it has no checkpoint or a damaged one.
    """
    return trained_system(opened(run), device)


def trained_system(begun: RunFolder | Weights, device: Any) -> System:
    """The system with its trained parameters; see `load`."""
    system = System(*configured(begun))
    state = begun.tensors if isinstance(begun, Weights) else _evaluated(begun)
    with matching_checkpoint():
        system.loss().load_state_dict(state)
    if system.experiment.option("channels_last"):
        lay_channels_last(system)
    return system.to(device)


def _evaluated(folder: RunFolder) -> dict[str, Any]:
    """Of the best epoch, where one is chosen, or the last: averaged parameters, where an average was kept."""
    state = load_latest(folder.checkpoints)
    if state.get("best") is not None:
        state = load_latest(folder.checkpoints, name=BEST)
    average = state["average"]
    if average is None:
        loss: dict[str, Any] = state["loss"]
        return loss
    prefix = "module."
    return {key.removeprefix(prefix): v for key, v in average.items() if key.startswith(prefix)}


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
