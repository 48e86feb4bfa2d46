"""Records: what trained experiments reached, and the tables made of them.

    python -m zoo.runs.recording RUN         # adds the record of a finished run, and writes the tables
    python -m zoo.experiments.records        # writes the tables, README.md here

Each record in ``records.json`` says how a figure was obtained: command, seed, steps, hardware, time, protocol
and date; the figures with their standard errors are in nats an image unless they say otherwise. What is not
known of a record is absent from it.
"""

import json
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zoo.experiments.pretrained import pretrained
from zoo.experiments.registry import find, names
from zoo.training.files import replace_file

FOLDER = Path(__file__).parent  # of a checkout: what is installed is not written to


@dataclass(frozen=True)
class Record:
    """One trained run of an experiment.

    Attributes:
        experiment: its name.
        command: that gives the figures again, to the digits that another machine can.
        seed: of the run.
        protocol: the images: their set, how they became binary, how many of the test set.
        parameters: numbers that were trained.
        date: of the run.
        version: of the library.
        steps: trained.
        seconds: the steps took, on `hardware`, other work beside it.
        cpu_hours: of the processor that the steps took, over its cores.
        hardware: it ran on.
        elbo: mean over the images and its standard error; none where log p(x) is exact.
        log_likelihood: the same of log p(x), or of the bound by `samples` importance samples.
        samples: K; none where log p(x) is exact.
        bits_per_dim: mean and standard error.
        pareto_k: mean over the images.
        pareto_k_above: share of the images with Pareto k above 0.7, for which log p(x) is a lower bound.
        further: other figures of the objective with their standard errors, such as the share of wrong labels.
        note: what else there is to know.
    """

    experiment: str
    command: str
    seed: int
    protocol: str
    parameters: int
    date: str
    version: str
    steps: int | None = None
    seconds: int | None = None
    cpu_hours: float | None = None
    hardware: str | None = None
    elbo: tuple[float, float] | None = None
    log_likelihood: tuple[float, float] | None = None
    samples: int | None = None
    bits_per_dim: tuple[float, float] | None = None
    pareto_k: float | None = None
    pareto_k_above: float | None = None
    further: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of_json(cls, entry: Mapping[str, Any]) -> "Record":
        """The record that JSON holds.

        Raises:
            TypeError: if it has an unknown field or lacks one.
        """
        fields: dict[str, Any] = {name: _paired(value) for name, value in entry.items()}
        return cls(**fields)

    def as_json(self) -> dict[str, Any]:
        """What is known, as JSON has it."""
        return {name: v for name, v in asdict(self).items() if v not in (None, "", {})}


def _paired(value: Any) -> Any:
    """A value of JSON, figures in it as pairs."""
    if isinstance(value, Mapping):
        return {name: _paired(figure) for name, figure in value.items()}
    return tuple(value) if isinstance(value, list) else value


def records() -> list[Record]:
    """All records, sorted by experiment, command and seed.

    Raises:
        TypeError: if one has an unknown field or lacks one.
    """
    listed = json.loads((FOLDER / "records.json").read_text(encoding="utf-8"))
    return sorted(map(Record.of_json, listed), key=_key)


def add(record: Record) -> None:
    """Write a record into ``records.json``, in place of one of the same command and seed, and the tables."""
    others = [r for r in records() if _key(r) != _key(record)]
    entries = [r.as_json() for r in sorted([*others, record], key=_key)]
    text = json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False)
    replace_file(FOLDER / "records.json", f"{text}\n".encode())
    write_tables()


def write_tables() -> None:
    """Write README.md beside this file."""
    (FOLDER / "README.md").write_text(markdown(), encoding="utf-8")


def _weights() -> list[str]:
    from zoo.training.weights import load_weights  # and PyTorch, which `zoo list` has no need of

    rows = [
        "| `zoo sample NAME` | parameters | bytes | ELBO | log p(x) or bound | bits/dim |",
        "|---|---|---|---|---|---|",
    ]
    for name, path in pretrained().items():
        r = Record.of_json(load_weights(path).about["record"])
        cells = [f"`{name}`", f"{r.parameters:,}", f"{path.stat().st_size:,}", _figure(r.elbo, 2)]
        rows.append("| " + " | ".join([*cells, _log_p(r), _figure(r.bits_per_dim, 3)]) + " |")
    return rows


def _key(record: Record) -> tuple[str, str, int]:
    return record.experiment, record.command, record.seed


def markdown() -> str:
    """README.md of this folder."""
    recorded = {record.experiment for record in records()}
    lines = [
        "# Experiments and what they reached",
        "",
        "Generated from `records.json` by `python -m zoo.experiments.records`; ablations are in",
        "[ablations.md](ablations.md). Nats an image, mean over test images ± standard error. Data sets,",
        "binarisation and the number of images differ from row to row, as do sizes, times and tuning: the",
        "table is no ranking.",
        "",
        "| command | data | parameters | ELBO | log p(x) | Pareto k | bits/dim | training |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(record) for record in records()),
        "",
        "## Weights that come with the zoo",
        "",
        "Of these runs, at half precision; the figures are those of the run in float32. Half precision moves",
        "the ELBO of 100 test images, with the same noise, by 0.002 nats for NVAE and by at most 0.0005 for",
        "the others.",
        "",
        *_weights(),
        "",
        "## All experiments",
        "",
        "| experiment | what | paper | trained here |",
        "|---|---|---|---|",
        *(_entry(name, recorded) for name in names()),
        "",
    ]
    return "\n".join(lines)


def _row(r: Record) -> str:
    further = [f"{name.replace('_', ' ')} {_figure(f, 3)}" for name, f in r.further.items()]
    cells = [
        f"`{r.command}`",
        r.protocol,
        f"{r.parameters:,}",
        ", ".join(filter(None, [_figure(r.elbo, 2), *further])),
        _log_p(r),
        _pareto(r),
        _figure(r.bits_per_dim, 3),
        " ".join(filter(None, [_training(r), r.note])),
    ]
    return "| " + " | ".join(cells) + " |"


def _log_p(r: Record) -> str:
    bound = "exact" if r.samples is None else f"K = {r.samples:,}"
    return f"{_figure(r.log_likelihood, 2)} ({bound})" if r.log_likelihood else ""


def _training(r: Record) -> str:
    """How long it was trained, and on what."""
    cpu = None if r.cpu_hours is None else f"{r.cpu_hours:.2f} CPU hours"
    steps = None if r.steps is None else f"{r.steps:,} steps"
    seconds = None if r.seconds is None else f"{r.seconds:,} s"
    return ", ".join(filter(None, [steps, cpu or seconds, r.hardware])) + "."


def _pareto(r: Record) -> str:
    """Mean Pareto k; and the share of the images above 0.7."""
    mean = None if r.pareto_k is None else f"{r.pareto_k:.2f}"
    share = None if r.pareto_k_above is None else f"{r.pareto_k_above:.0%} above 0.7"
    return ", ".join(filter(None, [mean, share]))


def _entry(name: str, recorded: Container[str]) -> str:
    experiment = find(name)
    trained = "yes" if name in recorded else "no record"
    return f"| `{name}` | {experiment.summary} | {experiment.paper} | {trained} |"


def _figure(figure: Any, digits: int) -> str:
    return "" if figure is None else f"{figure[0]:.{digits}f} ± {figure[1]:.{digits}f}"


if __name__ == "__main__":
    write_tables()
