"""The record of a finished run, made of what the run wrote down, so that nobody types figures.

    python -m zoo.runs.recording RUN                            # with the figures that `zoo train` ended with
    python -m zoo.runs.recording RUN --figures FILE             # with those of `zoo evaluate RUN --json FILE`
    python -m zoo.runs.recording RUN --note "Of three seeds."   # and what else there is to know

adds the record to ``zoo/experiments/records.json`` of the checkout that it runs in, in place of one of the
same command and seed, and writes the tables anew. Commit both files.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import torch

from zoo.conversion import as_text
from zoo.errors import UsageError, ZooError
from zoo.experiments import Experiment, find, records
from zoo.experiments.records import Record
from zoo.runs.configuration import configured
from zoo.runs.system import System
from zoo.training.run_folder import RunFolder

SHORT = {"epochs": "--epochs", "steps": "--steps", "batch_size": "--batch-size"}


def recorded(
    folder: RunFolder,
    *,
    figures: Mapping[str, Any] | None = None,
    hardware: str | None = None,
    note: str = "",
) -> Record:
    """The record of a run.

    Args:
        folder: of the run.
        figures: those of `zoo evaluate RUN --json FILE`; by default those that `zoo train` ended with.
        hardware: what it ran on, of a run whose configuration does not say it.
        note: what else there is to know.

    Raises:
        UsageError: if the run has not been evaluated, or has been finetuned from another.
    """
    config, (experiment, shape) = folder.config, configured(folder)
    figures = figures if figures is not None else final_figures(folder)
    with torch.device("meta"):
        parameters = System(experiment, shape).parameter_count()
    changes = [f"{sorted(c['after'])} changed at step {c['step']}." for c in config.get("changes", [])]
    wall, cpu = seconds_of_steps(folder)
    return Record(
        experiment=experiment.name,
        command=_command(experiment, config, figures),
        seed=config["seed"],
        protocol=f"{config['images']['protocol']}; {int(figures['images']):,} test images",
        parameters=parameters,
        date=config.get("begun") or _modified(folder),
        version=config["versions"].get("zoo", "0.1.0"),
        steps=_last_step(folder),
        seconds=None if wall is None else round(wall),
        cpu_hours=None if cpu is None else round(cpu / 3600, 4),
        hardware=hardware or config.get("hardware"),
        **_figures(figures),
        note=" ".join(filter(None, [note, *changes])),
    )


def final_figures(folder: RunFolder) -> dict[str, Any]:
    """The figures that `zoo train` ended with, by the names of `zoo evaluate --json`.

    Raises:
        UsageError: if there are none.
    """
    for metrics in reversed(folder.read_metrics()):
        found = {key.removeprefix("test/"): v for key, v in metrics.items() if key.startswith("test/")}
        if "log_likelihood" in found:
            return found
    raise UsageError(
        f"expected the figures of a finished run in {folder.metrics_file}; got none: evaluate it by zoo "
        f"evaluate {folder.path} --json FILE, and add --figures FILE"
    )


def seconds_of_steps(folder: RunFolder) -> tuple[float | None, float | None]:
    """What the steps took, wall time and CPU time; None of what was not measured.

    From the speed beside the curves, so that a run that was resumed counts every step once; what the epochs'
    validation took is not in it.
    """
    images = folder.config["options"]["batch_size"]
    speeds = ("train/images_per_second", "train/images_per_second_of_cpu")
    lines = [metrics for metrics in folder.read_metrics() if speeds[0] in metrics]
    steps = [b["step"] - a["step"] for a, b in zip([{"step": 0}, *lines], lines, strict=False)]
    wall, cpu = (
        sum(n * images / line[speed] for n, line in zip(steps, lines, strict=True))
        if lines and all(line.get(speed) for line in lines)
        else None
        for speed in speeds
    )
    return wall, cpu


def _figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    def pair(name: str, digits: int = 4) -> tuple[float, float] | None:
        mean, error = figures.get(name), figures.get(f"{name}_stderr")
        return None if mean is None or error is None else (round(mean, digits), round(error, digits))

    exact = bool(figures.get("exact"))
    known = {"elbo", "log_likelihood", "bits_per_dim"}
    if figures.get("pareto_k") is None:
        known.add("smoothed")  # of too few samples to smooth
    names = [name.removesuffix("_stderr") for name in figures if name.endswith("_stderr")]
    further = {name: pair(name) for name in names if name not in known}
    return {
        "elbo": None if exact else pair("elbo"),
        "log_likelihood": pair("log_likelihood"),
        "samples": None if exact else int(figures["samples"]),
        "bits_per_dim": pair("bits_per_dim", 5),
        "pareto_k": _rounded(figures.get("pareto_k")),
        "pareto_k_above": _rounded(figures.get("pareto_k_above_0.7")),
        "further": {name: figure for name, figure in further.items() if figure is not None},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _command(experiment: Experiment, config: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """The command that trains this again and evaluates it so."""
    if "finetuned_from" in config:
        raise UsageError(f"expected a run of zoo train; got one that finetunes {config['finetuned_from']}")
    words = ["zoo", "train", experiment.name]
    usual, chosen = find(experiment.name), experiment.options()
    for name, value in chosen.items():
        if name in usual.options() and usual.options()[name] == value:
            continue
        words += [SHORT[name], str(value)] if name in SHORT and value is not None else _set(name, value)
    if config["seed"]:
        words += ["--seed", str(config["seed"])]
    if not figures.get("exact"):
        words += ["--samples", str(int(figures["samples"]))]
    images = int(figures["images"])
    if not config["images"]["protocol"].partition(")")[0].endswith(f" {images} test"):
        words += ["--images", str(images)]
    return shlex.join(words)


def _set(name: str, value: Any) -> list[str]:
    return ["--set", f"{name}={as_text(value)}"]


def _last_step(folder: RunFolder) -> int | None:
    return max((metrics["step"] for metrics in folder.read_metrics()), default=None)


def _modified(folder: RunFolder) -> str:
    return date.fromtimestamp(folder.metrics_file.stat().st_mtime).isoformat()


def main(arguments: list[str] | None = None) -> int:
    """Add the record of a run."""
    parser = argparse.ArgumentParser(prog="python -m zoo.runs.recording", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument("--figures", metavar="FILE", help="of zoo evaluate RUN --json FILE")
    parser.add_argument("--hardware", help="of a run whose configuration does not say it")
    parser.add_argument("--note", default="", help="what else there is to know")
    options = parser.parse_args(arguments)
    figures = json.loads(Path(options.figures).read_text()) if options.figures else None
    try:
        folder = RunFolder.open(options.run)
        record = recorded(folder, figures=figures, hardware=options.hardware, note=options.note)
        records.add(record)
    except ZooError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    print(json.dumps(record.as_json()))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
