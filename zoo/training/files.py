"""Files that are replaced whole: after a kill or on a full disk the old content is there, or the new."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

WEIGHTS = ".safetensors"  # ends the name of a file of weights


def temporary(path: Path, kind: str = "") -> Path:
    """Where the next content of `path` is written, beside it; a name that a killed writer's successor reuses.

    >>> temporary(Path("run/last.pt")).name
    '.last.pt.tmp'
    """
    return path.with_name(f".{path.name}{kind}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether a file is one that a killed writer left."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def replace_file(path: Path, content: bytes) -> None:
    """Give the file at `path` another content; there must be one writer at a time.

    Raises:
        OSError: the old content is still there then.
    """
    new = temporary(path)
    try:
        write_synced(new, [content])
        os.replace(new, path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):
            os.unlink(new)


def write_synced(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file; it is on the disk when this returns."""
    with open(path, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the renames in a folder are on the disk."""
    if os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
