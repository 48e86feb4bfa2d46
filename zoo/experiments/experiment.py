"""What an experiment is, and how it is found by name."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import UsageError
from zoo.options.data import DataOptions
from zoo.options.objective import ELBOOptions, ObjectiveOptions
from zoo.settings import flatten, nearest, override
from zoo.training.options import TrainingOptions

NOT_EXPERIMENTS = ("experiment", "hierarchies")


@dataclass(frozen=True)
class Experiment:
    """A system, the data, the objective and the recipe that belong together.

    Attributes:
        summary: one line for `zoo list`.
        system: options with a method ``build(image_shape)`` that returns model and guide, and a property
            ``takes``, the encoding of the images: "binary", "grid" or "unit" (`zoo.data.encodings`). With a
            method ``begin(model, guide, load)`` they prepare a system that is to be trained.
        data, objective, training: see their own classes.
        image_shape: (C, H, W) of the data set.
        paper: figure of the publication, where there is one.
        name: ``<system>_<data>``, the file's own.
    """

    summary: str = field(metadata={"settable": False})
    system: Any
    data: DataOptions
    image_shape: tuple[int, int, int] = field(metadata={"settable": False})
    objective: ELBOOptions = field(default_factory=ObjectiveOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    paper: str = field(default="", metadata={"settable": False})
    name: str = field(default="", metadata={"settable": False})

    def override(self, values: Mapping[str, Any]) -> "Experiment":
        """The experiment with some options set, from typed values or from text; see `zoo.settings`."""
        return override(self, values)

    def options(self) -> dict[str, Any]:
        """Every option and its value."""
        return flatten(self)

    def described(self) -> dict[str, Any]:
        """What `zoo list --json` says of it."""
        return {
            "name": self.name,
            "summary": self.summary,
            "image_shape": list(self.image_shape),
            "paper": self.paper,
            "options": self.options(),
        }


def names() -> list[str]:
    """The names of all experiments, sorted."""
    import zoo.experiments as package

    modules = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in modules if name not in NOT_EXPERIMENTS)


def find(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UsageError: if there is none; offers the names like it.
    """
    if name not in names():
        raise UsageError(f"unknown experiment {name!r}{nearest(name, names())}")
    experiment: Experiment = importlib.import_module(f"zoo.experiments.{name}").EXPERIMENT
    return dataclasses.replace(experiment, name=name)
