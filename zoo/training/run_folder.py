"""The folder of a training run.

config.json     what the run was started with; written once
metrics.jsonl   one JSON object a line: {"step": 100, "loss_nats": 19.3, "crc32": "..."}
checkpoints/    last.pt, last.previous.pt; best.pt, best.previous.pt where the best epoch is chosen
pictures/       grids of samples and reconstructions; a chart of every latent's KL
events.out.tfevents.*   TensorBoard's; here, so that it calls the run by the folder's name
.lock           pid of the process that trains into it
"""

import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType, UnionType
from typing import IO, Any

from zoo.errors import CheckpointError, UsageError, did_you_mean
from zoo.training.files import is_temporary, replace_file
from zoo.training.stamps import STAMP, stamped, unstamped

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


FORMAT = 1  # of config.json
EVENTS = "events.out.tfevents."  # how the names of TensorBoard's files begin
KINDS: dict[str, type | UnionType] = {  # what is in it, where it is there
    "format": int,
    "experiment": str,
    "image_shape": list,
    "options": dict,
    "seed": int,
    "data_root": str | None,
    "finetuned_from": str,
    "changes": list,
}


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
            UsageError: The folder has something else in it, is in use, or cannot be made.
        """
        path = Path(path)
        text = _config_text(config)
        try:
            path.mkdir(parents=True, exist_ok=True)
            _require_free(path)
            with _locked(path):
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

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """Open a run that `create` made.

        Raises:
            UsageError: There is no run at `path`; runs of like names beside it are offered.
            CheckpointError: Its ``config.json`` is damaged.
        """
        path = Path(path)
        if not (path / "config.json").is_file():
            raise UsageError(_no_run(path))
        return cls(path, _read_config(path / "config.json"))

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """The newest checkpoint."""
        return self.checkpoints / "last.pt"

    @property
    def best_checkpoint(self) -> Path:
        """What a run is evaluated with that chooses its best epoch."""
        return self.checkpoints / "best.pt"

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
            UsageError: Another process trains into this folder, or has started another run in it.
        """
        with _locked(self.path):
            if _read_config(self.path / "config.json") != self.config:
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
        text = _config_text(config)
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
        line = json.dumps(stamped(_finite(dict(metrics))), allow_nan=False).encode() + b"\n"
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
        inside = [f"{path.name}/{name}" for name in _runs_in(path)[:3]]
        hint = f"did you mean {' or '.join(inside)}?" if inside else "it is not a run of this library"
        return f"expected a run at {path}; got a folder without config.json; {hint}"
    found = "a file" if path.exists() else "nothing there"
    hint = did_you_mean(path.name, _runs_in(path.parent)) or "check the path, or train first"
    return f"expected a run at {path}; got {found}; {hint}"


def _runs_in(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(entry.parent.name for entry in folder.glob("*/config.json"))
    return []


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"expected JSON in {path}; got '{error}'; restore the file or start another run"
        ) from error
    _require_kind(path, "the configuration", config, dict)
    for key, kind in KINDS.items():
        if key in config:
            _require_kind(path, key, config[key], kind)
    if config.get("format", FORMAT) != FORMAT:
        raise CheckpointError(
            f"expected format {FORMAT} in {path}; got {config['format']}; use the version of this library "
            "that wrote it"
        )
    if not 0 <= config.get("seed", 0) < 2**63:
        raise CheckpointError(
            f"expected a seed in [0, 2^63) in {path}; got {config['seed']}; restore the file"
        )
    content, right = unstamped(config)
    if not right:
        raise CheckpointError(
            f"{path} is damaged: its checksum is not that of its content; restore the file or, if it was "
            f'edited by hand, delete the entry "{STAMP}" too'
        )
    return content


def _config_text(config: Mapping[str, Any]) -> str:
    return json.dumps(stamped(config), indent=2, allow_nan=False) + "\n"


def _require_kind(path: Path, name: str, value: Any, kind: type | UnionType) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = getattr(kind, "__name__", str(kind))
        raise CheckpointError(
            f"expected {name} of type {expected} in {path}; got {type(value).__name__}; restore the file or "
            "start another run"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with _open_lock(folder / ".lock") as file:
        _acquire(file, folder)
        # Forked data workers would hold the lock on after a killed trainer: they close their copy.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=file.close)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _open_lock(path: Path) -> IO[str]:
    try:
        return open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"expected a run folder that can be written at {path.parent}; got '{error.strerror}'; "
            "mend its permissions or choose another --out"
        ) from error


def _acquire(file: IO[str], folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        raise UsageError(
            f"expected {folder} to be free; got a run in it by process {owner}; wait for it, stop it "
            "or choose another --out"
        ) from None
    except OSError:  # some network file systems know no locks
        return


def _ends_a_line(file: IO[bytes]) -> bool:
    # A full disk or a kill may have left half a line: the next one must not be glued to it.
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(child) for child in value]
    return _finite(value.item()) if hasattr(value, "item") else value
