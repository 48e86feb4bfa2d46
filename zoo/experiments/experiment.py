"""What an experiment is."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.choices import OBJECTIVES, Objective
from zoo.errors import UsageError, nearest
from zoo.settings import Config, Option, parts_with

SECTIONS = ("system", "data", "objective", "training")


@dataclass(frozen=True)
class Experiment:
    """A system, the data, the objective and the recipe that belong together.

    Its options are those of the four; an option of a part is ``prior.layers``, or ``layers`` where no option
    nearer to the top has that name.

    Attributes:
        name: ``<system>_<data>``.
        summary: one line for `zoo list`.
        system: called with the images' shape, returns model and guide.
        data: a `zoo.data.protocol.Protocol`.
        objective: called with model and guide, returns the loss.
        training: `zoo.training.options.TrainingOptions`.
        image_shape: (C, H, W) of the data set.
        paper: figure of the publication, where there is one.
        begin: called with the system, whose fresh parameters are to be trained, before that.
    """

    name: str
    summary: str
    system: Config
    data: Config
    objective: Config
    training: Config
    image_shape: tuple[int, int, int]
    paper: str = ""
    begin: Config | None = None

    def options(self) -> dict[str, Any]:
        """Every option's value by its qualified name, in the types of JSON."""
        values = {name: v for section in self._sections().values() for name, v in section.values().items()}
        return {"objective": self.objective.name, **values}

    def described(self) -> Iterator[tuple[str, Option, Any]]:
        """Every option: its qualified name, what it is, its value."""
        name = self.objective.name
        yield "objective", Option("objective", Objective, name, "what is minimised, by name."), name
        for section in self._sections().values():
            yield from section.options()

    def option(self, name: str) -> Any:
        """The value of the option of that name, qualified or not."""
        return self.options()[self._locate(name)[1]]

    def override(self, values: Mapping[str, Any]) -> "Experiment":
        """The experiment with some options set, from typed values or from text.

        Raises:
            UsageError: for a name that no option has, or a value that it cannot take; or for an option of a
                part that is not chosen.
        """
        experiment = self
        for name in sorted(values, key=self._is_nested):  # a part before the options that it brings
            experiment = experiment._replaced(name, values[name])
        for section in ("data", "objective", "training"):
            getattr(experiment, section)()  # these check what their options are together
        return experiment

    def _replaced(self, name: str, value: Any) -> "Experiment":
        if name == "objective":
            section, new = name, _objective(self.objective, value)
        else:
            section, qualified = self._locate(name)
            new = self._sections()[section].replaced(qualified, value)
        changed: dict[str, Any] = {section: new}
        return dataclasses.replace(self, **changed)

    def _sections(self) -> dict[str, Config]:
        sections = {name: getattr(self, name) for name in SECTIONS}
        return {**sections, "begin": self.begin} if self.begin else sections

    def _is_nested(self, name: str) -> int:
        """0 for a part, 1 for another option of a builder, 2 for what may be a part's."""
        if name == "objective":
            return 0
        for found, option, _ in self.described():
            if found == name:
                return 0 if option.choice else 1
        return 2

    def _locate(self, name: str) -> tuple[str, str]:
        """The section and the qualified name of an option.

        Raises:
            UsageError: if there is none of that name, or several as near to the top.
        """
        known = [(section, key) for section, config in self._sections().items() for key in config.values()]
        found = [(s, key) for s, key in known if key == name or key.endswith(f".{name}")]
        if not found:
            cure = self._belonging(name) or nearest(name, _short_names(key for _, key in known))
            raise UsageError(f"unknown option {name!r}{cure}")
        depth = min(key.count(".") for _, key in found)
        highest = [(s, key) for s, key in found if key.count(".") == depth]
        if len(highest) > 1:
            raise UsageError(f"{name!r} may be {' or '.join(key for _, key in highest)}: say which")
        return highest[0]

    def _belonging(self, name: str) -> str:
        """The end of an error message: the parts that are not chosen and have an option of that name."""
        having = {
            key: parts_with(name.rpartition(".")[2], option.choice)
            for key, option, _ in self.described()
            if option.choice
        }
        parts = [f"{key}={part}" for key, found in having.items() for part in found]
        return f"; it belongs to {' or '.join(parts)}: add that first" if parts else ""


def _short_names(qualified: Any) -> set[str]:
    return {name.rpartition(".")[2] for name in qualified}


def _objective(now: Config, name: Any) -> Config:
    target = now.target if name == now.name else OBJECTIVES.find("objective", name)
    return now if target == now.target else Config(target)
