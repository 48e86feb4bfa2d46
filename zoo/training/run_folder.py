"""The folder of a training run.

config.json     what the run was started with; written once
metrics.jsonl   one JSON object a line: {"step": 100, "loss_nats": 19.3, "crc32": "..."}
checkpoints/    last.pt, last.previous.pt; best.pt, best.previous.pt where the best epoch is chosen
pictures/       grids of samples and reconstructions; a chart of every latent's KL
events.out.tfevents.*   TensorBoard's; here, so that it calls the run by the folder's name
.lock           pid of the process that trains into it
"""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from zoo.errors import UsageError, did_you_mean
from zoo.training.checkpoint_format import BEST, LAST
from zoo.training.files import is_temporary, replace_file
from zoo.training.lock import locked
from zoo.training.run_config import config_text, read_config
from zoo.training.stamps import finite_json, stamped, unstamped

EVENTS = "events.out.tfevents."  # how the names of TensorBoard's files begin


class RunFolder:
    """Paths, configuration, lock and metrics of one run. Make it by `create` or `open`."""

    def __init__(self, path: str | Path, config: dict[str, Any]) -> None:
        self.path = Path(path)
        self.config = config

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> "RunFolder":
        """Make a new run, with the folders above it; `config` must be what JSON can hold.

        A folder in which a run was started that trained nothing (it was killed, or out of memory, before
        its first figures) is used again.

        Raises:
            UsageError: the folder has something else in it, is in use, or cannot be made.
        """
        path = Path(path)
        text = config_text(config)
        try:
            path.mkdir(parents=True, exist_ok=True)
            _require_free(path)
            with locked(path):
                _require_free(path)
                replace_file(path / "config.json", text.encode())
        except FileExistsError:
            raise _in_the_way(path) from None
        except OSError as error:
            raise UsageError(
                f"expected a folder for the run at {path} that can be written; got "
                f"'{error.strerror}'; choose another --out"
            ) from error
        return cls(path, unstamped(json.loads(text))[0])

    @staticmethod
    def require_place(path: str | Path) -> None:
        """Check, before the work is done, that nothing is in the way of `create`; writes nothing.

        Raises:
            UsageError: if something is.
        """
        path = Path(path)
        if path.is_dir():
            _require_free(path)
        elif os.path.lexists(path):
            raise _in_the_way(path)

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """Open a run that `create` made.

        Raises:
            UsageError: there is no run at `path`; runs of like names beside it are offered.
            CheckpointError: its ``config.json`` is damaged.
        """
        path = Path(path)
        if not (path / "config.json").is_file():
            raise UsageError(_no_run(path))
        return cls(path, read_config(path / "config.json"))

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """The newest checkpoint."""
        return self.checkpoints / LAST

    @property
    def best_checkpoint(self) -> Path:
        """What a run is evaluated with that chooses its best epoch."""
        return self.checkpoints / BEST

    @property
    def event_files(self) -> list[Path]:
        """TensorBoard's files, the oldest first."""
        return sorted(self.path.glob(f"{EVENTS}*"))

    @property
    def pictures(self) -> Path:
        """Folder of the pictures."""
        return self.path / "pictures"

    @property
    def metrics_file(self) -> Path:
        """File of the metrics."""
        return self.path / "metrics.jsonl"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; the kernel releases it when the process ends, however it does.

        Raises:
            UsageError: another process trains into this folder, or has started another run in it.
        """
        with locked(self.path):
            if read_config(self.path / "config.json") != self.config:
                raise UsageError(
                    f"expected {self.path} to hold this run; got another that was started there meanwhile; "
                    "choose another --out"
                )
            yield

    def change_options(self, step: int, options: Mapping[str, Any]) -> None:
        """Record in ``config.json`` that the run has other options from a step on.

        They replace those under "options"; "changes" lists the step and what each was before.
        """
        before = {key: self.config["options"].get(key) for key in options}
        change = {"step": step, "before": before, "after": dict(options)}
        config = {
            **self.config,
            "options": {**self.config["options"], **options},
            "changes": [*self.config.get("changes", []), change],
        }
        text = config_text(config)
        with self.lock():
            replace_file(self.path / "config.json", text.encode())
        self.config = unstamped(json.loads(text))[0]

    def append_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``; what is not finite is written as null.

        Args:
            metrics: ``{"step": 100, "loss_nats": 19.3}``; the step is required.
        """
        if "step" not in metrics:
            raise ValueError(f"expected a 'step' among the metrics; got {sorted(metrics)}; add it")
        line = json.dumps(stamped(finite_json(metrics)), allow_nan=False).encode() + b"\n"
        with open(self.metrics_file, "ab+") as file:
            file.write(line if _ends_a_line(file) else b"\n" + line)

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of ``metrics.jsonl`` that are whole.

        Warns:
            RuntimeWarning: where a line is damaged, so that it is left out.
        """
        return [metrics for _, metrics in self._whole_lines()]

    def truncate_metrics(self, after_step: int) -> None:
        """Drop the lines of later steps, and torn ones: a run resumed at `after_step` writes them anew."""
        if not self.metrics_file.is_file():
            return
        kept = b"".join(
            line + b"\n" for line, metrics in self._whole_lines() if metrics["step"] <= after_step
        )
        if kept != self.metrics_file.read_bytes():
            replace_file(self.metrics_file, kept)

    def _whole_lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        if not self.metrics_file.is_file():
            return
        for line in self.metrics_file.read_bytes().split(b"\n"):
            with suppress(ValueError):
                metrics = json.loads(line)
                if isinstance(metrics, dict) and isinstance(metrics.get("step"), int):
                    metrics, right = unstamped(metrics)
                    if right:
                        yield line, metrics
                    else:
                        self._warn_of_damage(line)

    def _warn_of_damage(self, line: bytes) -> None:
        warnings.warn(
            f"a line of {self.metrics_file} is damaged and left out: {line[:40].decode(errors='replace')}...",
            RuntimeWarning,
            stacklevel=2,
        )


def _require_free(path: Path) -> None:
    """Check that nothing is in a folder but what a run leaves that has trained nothing.

    Raises:
        UsageError: if something is.
    """
    found = [entry for entry in path.iterdir() if not is_temporary(entry)]
    ours = (path / ".lock").is_file()  # a config.json by itself may be anybody's
    if any(not (ours and _says_nothing(entry)) for entry in found):
        raise _in_the_way(path)


def _says_nothing(entry: Path) -> bool:
    """Whether a file or folder of a run is there before anything is trained."""
    match entry.name:
        case "config.json" | ".lock":
            return entry.is_file()
        case "checkpoints":
            return entry.is_dir() and all(map(is_temporary, entry.iterdir()))
    return entry.is_file() and entry.name.startswith(EVENTS)


def _in_the_way(path: Path) -> UsageError:
    found = "a file" if path.is_file() else "one with files in it"
    cure = "resume that run by --resume or " if (path / "config.json").is_file() else ""
    return UsageError(
        f"expected a new or empty folder for the run at {path}; got {found}; {cure}choose another --out"
    )


def _no_run(path: Path) -> str:
    if path.is_dir():
        inside = [str(path / name) for name in _runs_in(path)[:3]]
        hint = f"did you mean {' or '.join(inside)}?" if inside else "it is not a run of this library"
        return f"expected a run at {path}; got a folder without config.json; {hint}"
    found = "a file" if path.exists() else "nothing there"
    near = did_you_mean(path.name, _runs_in(path.parent), shown=path.parent.joinpath)
    hint = near or "check the path, or train first"
    return f"expected a run at {path}; got {found}; {hint}"


def _runs_in(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(entry.parent.name for entry in folder.glob("*/config.json"))
    return []


def _ends_a_line(file: IO[bytes]) -> bool:
    # A full disk or a kill may have left half a line: the next one must not be glued to it.
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
