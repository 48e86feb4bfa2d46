"""Runs that begin with the parameters of another.

Finetuning resumes from the end of a run without free bits (arXiv:1902.02102, table 2): the parameters, their
average, the optimiser's moments and the number of steps are taken over, and with the steps the schedules, so
that the learning rate falls further from where it was. The other run itself is left as it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UsageError
from zoo.experiments import Experiment
from zoo.models.m2 import load_m1
from zoo.runs.system import System
from zoo.runs.trained import load
from zoo.training.checkpoint import load_latest
from zoo.training.run_folder import RunFolder
from zoo.training.state import matching_checkpoint

SHARE = 10  # a tenth of the run's epochs by default


def finetuned(began: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """The experiment without free bits, for a tenth of its epochs (or steps) more.

    Args:
        began: the experiment to finetune.
        changes: other options; epochs and steps count from the end of the run.

    Raises:
        UsageError: for an option that such a run cannot change.
    """
    steps = began.option("steps")
    share = {
        "epochs": -(-began.option("epochs") // SHARE),
        "steps": None if steps is None else -(-steps // SHARE),
    }
    plain = {"free_bits": 0.0, "free_bits_steps": None}
    known = {name.rpartition(".")[2] for name in began.options()}
    plain = {name: value for name, value in plain.items() if name in known}
    experiment = began.override({**plain, **share, **limited(changes)})
    _require_same_model(began, experiment)
    return experiment


def limited(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes; epochs, where they are given without steps, in place of any steps."""
    return {**({"steps": None} if "epochs" in changes else {}), **changes}


def start(source: RunFolder, system: System) -> dict[str, Any]:
    """The state in which a finetuning of `source` begins: the last one of `source`.

    Its best epoch is not taken along: finetuning chooses its own, and its own end.

    Raises:
        CheckpointError: if `source` has no checkpoint, a damaged one, or one of another system.
    """
    state = load_latest(source.checkpoints)
    with matching_checkpoint():
        system.loss().load_state_dict(state["loss"])
    step = state["step"]
    return {**state, "start": step, "best": None, "stopping": {"highest_at": step, "offered_at": step}}


def require_finetuning_of(folder: RunFolder, source: RunFolder) -> None:
    """Check that a run is a finetuning, and one of `source`; where that was moved, its name decides nothing.

    Raises:
        UsageError: if it is not.
    """
    began = folder.config.get("finetuned_from")
    if began is None:
        raise UsageError(f"{folder.path} is no finetuning: resume it by zoo train, or take another --out")
    if Path(began).exists() and not Path(began).samefile(source.path):
        raise UsageError(f"{folder.path} was finetuned from {began}, not {source.path}; take another --out")


def load_pretrained_m1(system: System, *, m1: str | None = None) -> None:
    """Put the trained M1 of a run under an M1+M2 (arXiv:1406.5298).

    Args:
        system: of an M1+M2, which is to be trained.
        m1: run of an M1 of the same sizes, whose parameters are taken over and trained no further; none:
            M1+M2 is trained whole.

    Raises:
        UsageError: if there is no such run, or it is no M1 of these sizes.
    """
    if m1 is None:
        return
    below = load(m1)
    try:
        load_m1(system.model, system.guide, below.model.likelihood, below.guide.head)
    except (RuntimeError, AttributeError) as error:
        sizes = {name: system.experiment.option(name) for name in ("latent", "hidden")}
        expected = ", ".join(f"{name}={value}" for name, value in sizes.items())
        raise UsageError(
            f"expected {m1} to be the run of an M1 with {expected} and the encoder of this M1+M2; got one of "
            f"{below.experiment.name}"
        ) from error


def _require_same_model(began: Experiment, now: Experiment) -> None:
    before, after = began.options(), now.options()
    kept = [*began.system.values(), "optimizer"]
    differ = [key for key in kept if before[key] != after.get(key)]
    if bool(before["ema"]) != bool(after["ema"]):
        differ.append("ema")
    if differ:
        changes = ", ".join(f"{key} was {before[key]}, is {after.get(key)}" for key in differ)
        raise UsageError(f"finetuning keeps the model and the optimiser of the run: {changes}; leave that")
