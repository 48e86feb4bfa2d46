"""What is done in a process that a fault then ends or hinders."""

import importlib
import os
import resource
import signal
from pathlib import Path
from typing import Any

import torch

from zoo.training import files
from zoo.training.checkpoint import save_checkpoint

PHASES = {  # what a signal is sent in, by where it is
    "data": ("zoo.data.protocol", "Protocol", "load"),
    "training": ("zoo.training.trainer", "Trainer", "train_step"),
    "validation": ("zoo.runs.monitor", "Monitor", "__call__"),
    "evaluation": ("zoo.runs.run", "Run", "evaluate"),
    "pictures": ("zoo.runs.run", "Run", "save_pictures"),
}
CALLS = ("open", "fsync", "link", "replace", "unlink")  # of a save, in the order of its work


def states() -> list[dict[str, Any]]:
    """Three states to save."""
    return [{"step": step, "loss": {"w": torch.full((1000,), float(step))}} for step in range(3)]


def save_and_die(path: Path, call: int, after: bool) -> None:
    """Save the last of the three states and be killed before or after the `call`-th system call of it."""
    made = 0

    def deadly(work: Any) -> Any:
        def done(*arguments: Any, **keywords: Any) -> Any:
            nonlocal made
            made += 1
            if made == call and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return work(*arguments, **keywords)
            finally:
                if made == call:
                    os.kill(os.getpid(), signal.SIGKILL)

        return done

    first, second, third = states()
    save_checkpoint(path, first)
    save_checkpoint(path, second)
    for name in CALLS[1:]:
        setattr(os, name, deadly(getattr(os, name)))
    files.open = deadly(open)  # type: ignore[attr-defined]
    save_checkpoint(path, third)


def signal_in(phase: str, call: int) -> None:
    """Send this process SIGTERM in the `call`-th call of a phase."""
    module, owner, name = PHASES[phase]
    place, made = getattr(importlib.import_module(module), owner), 0
    work = getattr(place, name)

    def signalling(*arguments: Any, **keywords: Any) -> Any:
        nonlocal made
        made += 1
        if made == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return work(*arguments, **keywords)

    setattr(place, name, signalling)


def fill_disk(limit: int) -> None:
    """Let no file be written that is longer than `limit` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
