"""The lock of a run's folder: one process trains into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO

from zoo.errors import UsageError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder for this process; the kernel releases it when the process ends, however it does.

    Raises:
        UsageError: if another process holds it, or the folder cannot be written.
    """
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
