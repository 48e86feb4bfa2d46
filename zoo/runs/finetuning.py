"""Finetuning: a run goes on from the end of another without free bits (arXiv:1902.02102, table 2).

The other run's parameters, their average, the optimiser's moments and the number of steps go on, and with the
steps its schedules: the learning rate falls on from where it was. The other run itself is left as it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UsageError
from zoo.experiments import Experiment
from zoo.runs.system import System, configured
from zoo.settings import flatten
from zoo.training.checkpoint import load_latest
from zoo.training.run_folder import RunFolder
from zoo.training.state import matching_checkpoint

SHARE = 10  # a tenth of the run's epochs by default


def finetuned(source: RunFolder, overrides: Mapping[str, Any]) -> Experiment:
    """The experiment of the run `source` without free bits, for a tenth of its epochs (or steps) more.

    Args:
        source: the run to finetune.
        overrides: other options; epochs and steps count from the end of `source`.

    Raises:
        UsageError: for an option that a run which goes on cannot change.
    """
    began, _ = configured(source)
    training = began.training
    share = {
        "epochs": -(-training.epochs // SHARE),
        "steps": None if training.steps is None else -(-training.steps // SHARE),
    }
    plain = {"free_bits": 0.0, "free_bits_steps": None}
    experiment = began.override({**plain, **share, **limited(overrides)})
    _require_same_model(began, experiment)
    return experiment


def limited(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides; epochs, where they are given alone, in place of any steps."""
    return {**({"steps": None} if "epochs" in overrides else {}), **overrides}


def start(source: RunFolder) -> dict[str, Any]:
    """The state in which a finetuning of `source` begins: the last one of `source`.

    Its best epoch is not taken along: finetuning chooses its own.

    Raises:
        CheckpointError: if `source` has no checkpoint, or a damaged one.
    """
    state = load_latest(source.checkpoints)
    return {**state, "start": state["step"], "best": None}


def require_fit(state: Mapping[str, Any], system: System) -> None:
    """Check that a state is one of this system's, before anything is written.

    Raises:
        CheckpointError: if it is not: the images are of another shape, say.
    """
    with matching_checkpoint():
        system.loss().load_state_dict(state["loss"])


def origin(source: RunFolder) -> dict[str, str]:
    """What the configuration of a finetuning says of where it began."""
    return {"finetuned_from": str(source.path.absolute())}


def require_finetuning_of(folder: RunFolder, source: RunFolder) -> None:
    """Check that a run is a finetuning, and one of `source`; where that was moved, its name decides nothing.

    Raises:
        UsageError: if it is not.
    """
    began = folder.config.get("finetuned_from")
    if began is None:
        raise UsageError(f"{folder.path} is no finetuning, go on with it by zoo train; or take another --out")
    if Path(began).exists() and not Path(began).samefile(source.path):
        raise UsageError(f"{folder.path} was finetuned from {began}, not {source.path}; take another --out")


def _require_same_model(began: Experiment, now: Experiment) -> None:
    before, after = began.options(), now.options()
    kept = [*flatten(began.system), "optimizer"]
    differ = [key for key in kept if before[key] != after[key]]
    if bool(before["ema"]) != bool(after["ema"]):
        differ.append("ema")
    if differ:
        changes = ", ".join(f"{key} was {before[key]}, is {after[key]}" for key in differ)
        raise UsageError(f"finetuning keeps the model and the optimiser of the run: {changes}; leave that")
