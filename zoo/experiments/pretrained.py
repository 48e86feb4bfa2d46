"""Trained weights by name: those that come with the zoo, a file an experiment."""

import os
from pathlib import Path

from zoo.errors import UsageError, nearest
from zoo.experiments.registry import names
from zoo.training.files import WEIGHTS

FOLDER = Path(__file__).with_name("weights")
HUB = "hub:"  # begins the name of a repository on the Hugging Face hub
FILE = f"model{WEIGHTS}"  # of a repository, or of a folder like one


def pretrained() -> dict[str, Path]:
    """The weights files that come with the zoo, by the name of their experiment."""
    return {path.stem: path for path in sorted(FOLDER.glob(f"*{WEIGHTS}"))}


def called(path: str | Path) -> str:
    """How a run is named where figures are shown: by name, where its weights come with the zoo."""
    return Path(path).stem if Path(path).parent == FOLDER else str(path)


def is_weights(run: str | Path) -> bool:
    """Whether that is a weights file, a folder that holds one and no run, or a repository of the hub."""
    path = Path(run)
    if str(run).startswith(HUB) or (path.suffix == WEIGHTS and path.is_file()):
        return True
    return (path / FILE).is_file() and not (path / "config.json").exists()


def located(run: str | Path) -> Path:
    """The path that a run's name stands for: itself where something is there, or that of weights by name.

    Raises:
        UsageError: if it is the name of an experiment without weights, or like a name with weights.
    """
    name, known = str(run), pretrained()
    if os.path.lexists(run) or name.startswith(HUB):
        return Path(run)
    if name in known:
        return known[name]
    if name in names():
        raise UsageError(
            f"no weights of {name} come with the zoo (zoo list marks those that do): zoo train {name}, "
            f"then name its folder, runs/{name}"
        )
    hint = nearest(name, known)
    if "did you mean" in hint and Path(name).name == name:
        raise UsageError(
            f"expected a run, or the name of trained weights; got {name}, which is neither{hint}"
        )
    return Path(run)
