"""The command line: ``zoo list|train|finetune|evaluate|compare|anomaly|sample|reconstruct|export|publish``.

Answers ``--help`` and ``list`` without importing PyTorch. A mistake of the user's is one line on stderr and
an exit code: 2 usage, 3 data, 4 checkpoint, 5 not finite; 75 interrupted.
"""

import argparse
import errno
import importlib
import os
import sys
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo import process
from zoo.cli.parser import parser
from zoo.errors import Interrupted, UsageError, ZooError, one_line
from zoo.training.signals import StopRequest, same_command

SHARED = ("train", "finetune", "evaluate")  # among the processes that torchrun starts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    Args:
        arguments: of the command. By default those of this process, which is then the command's own and gets
            the settings of `zoo.tune_process`; a program that calls the command with arguments keeps its own.
    """
    own = arguments is None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:  # closed by whoever started us
        _drop_output()
    try:
        with StopRequest(at_once=True), _short_warnings():
            return _answer(arguments, own=own)
    except Interrupted as end:
        if int(os.environ.get("RANK", "0")) == 0:
            print(f"zoo: {end}; resume with: {same_command(_resuming(arguments))}", file=sys.stderr)
        return end.exit_code
    except KeyboardInterrupt:
        print("zoo: interrupted", file=sys.stderr)
        return 130


def _answer(arguments: Sequence[str], *, own: bool) -> int:
    try:
        options = _parsed(arguments)
        options.tune = own and process.is_wanted()
        if _begins(options):
            options.resume = False
        result = _run(options)
        sys.stdout.flush()
        return result
    except ZooError as error:
        _complain(str(error))
        return error.exit_code
    except BrokenPipeError:  # who read what we print has read enough
        _drop_output()
        return 141  # what a shell reports for SIGPIPE
    except OSError as error:  # a path that is too long, or that may not be looked at; a disk that is full
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        _complain(f"cannot use {error.filename or 'the output'}: {error.strerror}")
        if error.filename is None:
            _drop_output()
        return UsageError.exit_code


def _complain(mistake: str) -> None:
    """Print a mistake; once, where several processes that torchrun started on a machine meet the same.

    The first of them prints it: torchrun ends the others as soon as it has failed, rank 0 perhaps before it
    has printed anything.
    """
    error_file = os.environ.get("TORCHELASTIC_ERROR_FILE")  # ATTEMPT/LOCAL_RANK/error.json
    if error_file:
        said = Path(error_file).parent.parent / f"zoo-{zlib.crc32(mistake.encode()):08x}"
        try:
            said.touch(exist_ok=False)
        except FileExistsError:
            return
        except OSError:
            pass  # better said twice than never
    print(f"zoo: {mistake}", file=sys.stderr)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    options = parser().parse_args(arguments)
    if getattr(options, "out", "") is None:
        run = getattr(options, "run", None)
        options.out = f"runs/{options.experiment}" if run is None else f"{_named(run)}-finetuned"
    return options


def _begins(options: argparse.Namespace) -> bool:
    """Whether there is nothing to resume and torchrun has started this.

    Torchrun gives one command to the first attempt and to those after a failure (``--max-restarts``).
    """
    wanted = "TORCHELASTIC_RUN_ID" in os.environ and getattr(options, "resume", False)
    return wanted and not Path(options.out, "config.json").exists()


def _named(run: str) -> Path:
    """A run's path with its name, also where that is `.`."""
    return Path(run) if Path(run).name else Path(run).absolute()


def _drop_output() -> None:
    """Print to nowhere from now on: Python flushes the output once more at its end."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _resuming(arguments: Sequence[str]) -> Sequence[str]:
    """The command to give after an interruption: with --resume, where a run has been begun."""
    options = _parsed(arguments)
    begun = hasattr(options, "resume") and Path(options.out, "config.json").exists()
    return arguments if not begun or options.resume else [*arguments, "--resume"]


def list_experiments(options: argparse.Namespace) -> int:
    """Print every experiment, and write them as JSON where asked to."""
    from zoo.experiments import find, names
    from zoo.experiments.pretrained import pretrained
    from zoo.runs.figures import lines_to, require_figures_place, write_json

    require_figures_place(options.json)
    experiments = [find(name) for name in names(options.pattern)]
    if not experiments:
        wider = (f"{options.pattern}*", f"*{options.pattern}*")
        cure = next((f"did you mean '{w}'?" for w in wider if names(w)), "zoo list has them all")
        raise UsageError(f"no experiment is called {options.pattern!r}; {cure}")
    width, known = max(len(e.name) for e in experiments), pretrained()
    for e in experiments:
        marks = [f"(paper: {e.paper})"] * bool(e.paper) + ["[weights]"] * (e.name in known)
        print("  ".join([f"{e.name:{width}s}", e.summary, *marks]), file=lines_to(options.json))
    if options.json:
        write_json(options.json, [_as_json(e, e.name in known) for e in experiments])
    return 0


def _as_json(experiment: Any, weights: bool) -> dict[str, Any]:
    return {
        "name": experiment.name,
        "summary": experiment.summary,
        "image_shape": list(experiment.image_shape),
        "paper": experiment.paper,
        "weights": weights,
        "options": experiment.options(),
    }


def _run(options: argparse.Namespace) -> int:
    """Run the command; PyTorch is imported, with `zoo.cli.commands`, when what the command names exists."""
    if options.command == "list_experiments":
        return list_experiments(options)
    if options.command not in SHARED and int(os.environ.get("RANK", "0")) > 0:
        return 0  # of several processes that torchrun started, the first does it
    _require_names(options)
    if options.tune:
        process.tune_process()
    commands = importlib.import_module("zoo.cli.commands")
    result: int = commands.answered(getattr(commands, options.command), options)
    return result


def _require_names(options: argparse.Namespace) -> None:
    """Check, before PyTorch is imported, that the experiment and the runs that are named exist.

    Raises:
        UsageError: if they do not.
    """
    from zoo.experiments import find
    from zoo.experiments.pretrained import is_weights, located
    from zoo.training.run_folder import RunFolder

    if hasattr(options, "experiment"):
        find(options.experiment)
    for run in [options.run] if hasattr(options, "run") else getattr(options, "runs", []):
        path = located(run)
        if not is_weights(path):
            RunFolder.open(path)
    if getattr(options, "resume", False):
        RunFolder.open(options.out)


class _short_warnings:  # noqa: N801  a context manager, named as one
    """Warnings on one line, without the place in the code."""

    def __enter__(self) -> None:
        self.before, warnings.formatwarning = warnings.formatwarning, _warning

    def __exit__(self, *error: object) -> None:
        warnings.formatwarning = self.before


def _warning(message: Any, *place: Any, **more: Any) -> str:
    return f"zoo: warning: {one_line(message)}\n"


if __name__ == "__main__":
    sys.exit(main())
