"""Trained weights for others: a folder, or a repository of the hub, with a weights file and a card."""

import tempfile
from pathlib import Path

from zoo.errors import UsageError
from zoo.experiments.pretrained import FILE, HUB
from zoo.experiments.records import Record
from zoo.runs.hub import pushed
from zoo.runs.run import Run
from zoo.training.weights import StoredType

CARD = "README.md"


def publish(run: Run, to: str, *, dtype: StoredType = "float32") -> str:
    """Write the weights and their card into a new folder, or push them to the hub; returns where they are.

    Args:
        run: what is published.
        to: a new or empty folder, or ``hub:owner/name``.
        dtype: of the parameters in the file.

    Raises:
        UsageError: if the run has not been evaluated, or the folder has files in it.
        ZooError: if the hub refuses.
    """
    if run.record is None:
        raise UsageError(
            f"expected a run with figures, for the card; got none of {run.path}: finish zoo train"
        )
    if to.startswith(HUB):
        with tempfile.TemporaryDirectory() as temporary:
            _write(run, Path(temporary), to, dtype)
            return pushed(Path(temporary), to)
    folder = Path(to)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"expected a new or empty folder; got {folder}; choose another --to")
    _write(run, folder, to, dtype)
    return to


def _write(run: Run, folder: Path, to: str, dtype: StoredType) -> None:
    run.export(folder / FILE, dtype=dtype)
    (folder / CARD).write_text(card(run, to), encoding="utf-8")


def card(run: Run, place: str) -> str:
    """The card of published weights: what they are, their figures, the commands to use and to repeat them.

    Args:
        run: with a record.
        place: that others name them by.
    """
    record = run.record
    assert record is not None
    return f"""---
library_name: pyro-generative-zoo
tags: [pyro, generative-model, density-estimation]
---

# {record.experiment}

{run.experiment.summary}, {record.parameters:,} parameters, trained with pyro-generative-zoo {record.version}.

{_table(record)}

Trained by

```
{record.command}
```

and used by

```
zoo sample {place}
zoo evaluate {place}
```

or, in Python, `zoo.load("{place}")`.
"""


def _table(record: Record) -> str:
    """The record as a table: what is known."""
    rows = [f"| {name.replace('_', ' ')} | {_cell(value)} |" for name, value in record.as_json().items()]
    hidden = ("| experiment |", "| command |", "| parameters |", "| version |")
    return "\n".join(["| | |", "|---|---|", *(row for row in rows if not row.startswith(hidden))])


def _cell(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"{value[0]} ± {value[1]}"
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_cell(figure)}" for name, figure in value.items())
    return str(value)
