"""Records: what trained experiments reached, and the tables made of them.

    python -m zoo.experiments.records        # writes README.md beside this file

Each record in ``records.json`` says how a figure was obtained: command, seed, steps, hardware, time, protocol
and date; the figures with their standard errors are in nats an image unless they say otherwise.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from zoo.experiments.experiment import find, names


@dataclass(frozen=True)
class Record:
    """One trained run of an experiment.

    Attributes:
        experiment: its name.
        command: that gives the figures again, to the digits that another machine can.
        seed: of the run.
        steps: trained.
        seconds: of training, on `hardware`, other work beside it.
        hardware: it ran on.
        protocol: the images: their set, how they became binary, how many of the test set.
        parameters: numbers that were trained.
        elbo: mean over the images and its standard error; none where log p(x) is exact.
        log_likelihood: the same of log p(x), or of the bound by `samples` importance samples.
        samples: K; none where log p(x) is exact.
        bits_per_dim: mean and standard error.
        pareto_k_above: share of the images with Pareto k above 0.7, for which log p(x) is a lower bound.
        date: of the run.
        version: of the library.
        note: what else there is to know.
    """

    experiment: str
    command: str
    seed: int
    steps: int | None
    seconds: int | None
    hardware: str
    protocol: str
    parameters: int
    elbo: tuple[float, float] | None
    log_likelihood: tuple[float, float] | None
    samples: int | None
    bits_per_dim: tuple[float, float] | None
    date: str
    version: str
    pareto_k_above: float | None = None
    note: str = ""


def records() -> list[Record]:
    """All records, sorted by experiment.

    Raises:
        TypeError: if one has an unknown field or lacks one.
    """
    listed = json.loads(files("zoo.experiments").joinpath("records.json").read_text())
    found = [Record(**entry) for entry in listed]
    return sorted(found, key=lambda r: (r.experiment, r.command))


def markdown() -> str:
    """README.md of this folder."""
    lines = [
        "# Experiments and what they reached",
        "",
        "Generated from `records.json` by `python -m zoo.experiments.records`; ablations are in",
        "[ablations.md](ablations.md). Nats an image, mean over test images ± standard error. Data sets,",
        "binarisation and the number of images differ from row to row, as do sizes, times and tuning: the",
        "table is no ranking.",
        "",
        "| command | data | parameters | ELBO | log p(x) | bits/dim | training |",
        "|---|---|---|---|---|---|---|",
        *(_row(record) for record in records()),
        "",
        "## All experiments",
        "",
        "| experiment | what | paper | trained here |",
        "|---|---|---|---|",
        *(_entry(name) for name in names()),
        "",
    ]
    return "\n".join(lines)


def _row(r: Record) -> str:
    seconds = "" if r.seconds is None else f"{r.seconds} s"
    steps = "" if r.steps is None else f"{r.steps:,} steps"
    time = ", ".join(filter(None, [steps, seconds]))
    bound = "exact" if r.samples is None else f"K = {r.samples}"
    log_p = f"{_figure(r.log_likelihood, 2)} ({bound})" if r.log_likelihood else ""
    cells = [f"`{r.command}`", r.protocol, f"{r.parameters:,}", _figure(r.elbo, 2), log_p]
    note = f" {r.note}" if r.note else ""
    return "| " + " | ".join([*cells, _figure(r.bits_per_dim, 3), f"{time}.{note}"]) + " |"


def _entry(name: str) -> str:
    experiment = find(name)
    trained = "yes" if any(r.experiment == name for r in records()) else "no"
    return f"| `{name}` | {experiment.summary} | {experiment.paper} | {trained} |"


def _figure(figure: Any, digits: int) -> str:
    return "" if figure is None else f"{figure[0]:.{digits}f} ± {figure[1]:.{digits}f}"


if __name__ == "__main__":
    (Path(__file__).parent / "README.md").write_text(markdown())
