"""Experiments by name: those of this folder, and those of one's own files.

    export ZOO_EXPERIMENTS=mine.py      # whose EXPERIMENTS is a list, as in the files here
    zoo train mine_digits

A run's folder holds its experiment's name and options, and no code: whoever opens the run says which file has
the experiment.
"""

import importlib
import os
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from zoo.errors import UsageError, did_you_mean, one_line
from zoo.experiments.experiment import Experiment

VARIABLE = "ZOO_EXPERIMENTS"  # of the environment: paths of Python files, separated as those of PATH


def names(pattern: str = "*") -> list[str]:
    """The names of all experiments that fit a pattern such as ``biva*``, of whatever case, sorted."""
    return [name for name in _all() if fnmatchcase(name, pattern.lower())]


def find(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UsageError: if there is none; offers the names like it.
    """
    if name not in _all():
        cure = did_you_mean(str(name), _all()) or f"zoo list has them all, those of {VARIABLE} among them"
        raise UsageError(f"unknown experiment {name!r}; {cure}")
    return _all()[name]


def require_found(experiment: Experiment) -> None:
    """Check that an experiment's name and options, which a run's folder holds, are enough to have it again.

    Warns of a name that no file has yet, as of an experiment made in a notebook: a file may have it later.

    Raises:
        UsageError: if another experiment has that name, or options cannot be named.
    """
    known = _all().get(experiment.name)
    if known is None:
        warnings.warn(
            f"experiment {experiment.name!r} is in no file: to open this run again, list it in EXPERIMENTS "
            f"of one and set {VARIABLE} to that file",
            stacklevel=3,
        )
        return
    if _built_by(known) != _built_by(experiment):
        reason = "is another"
    else:
        try:
            known.override(experiment.options())
            return
        except UsageError as error:
            reason = f"cannot have these options: {error}"
    raise UsageError(
        f"expected an experiment that is found by its name; {experiment.name!r} {reason}; list yours, under "
        f"a name of its own, in EXPERIMENTS of a file, and set {VARIABLE} to that file"
    )


def _built_by(experiment: Experiment) -> list[str]:
    """What no option changes."""
    return [config.target for config in (experiment.system, experiment.data, experiment.begin) if config]


@cache
def _all() -> dict[str, Experiment]:
    found: dict[str, Experiment] = {}
    for module in _modules():
        for experiment in getattr(module, "EXPERIMENTS", ()):
            if experiment.name in found:
                raise UsageError(f"{module.__file__} has a second experiment {experiment.name!r}: rename it")
            found[experiment.name] = experiment
    return dict(sorted(found.items()))


def _modules() -> Iterator[ModuleType]:
    import zoo.experiments as package

    for module in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{module.name}")
    for path in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        yield _own(Path(path).expanduser().absolute())


def _own(path: Path) -> ModuleType:
    """The module of a file of one's own; what it imports may lie beside it, as for a script.

    Raises:
        UsageError: if it is not there, cannot be imported, or is called like another module.
    """
    if not path.is_file():
        raise UsageError(f"expected a Python file at {path}, of {VARIABLE}; found none: check the path")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        module = importlib.import_module(path.stem)
    except Exception as error:  # whatever is wrong in it
        lines = [f"line {f.lineno}: " for f in extract_tb(error.__traceback__) if f.filename == str(path)]
        raise UsageError(
            f"cannot import {path}, of {VARIABLE}: {(lines or [''])[-1]}{one_line(error)}"
        ) from error
    if not path.samefile(str(module.__file__)):
        raise UsageError(f"{path}, of {VARIABLE}, is called like {module.__file__}: rename it")
    return module
