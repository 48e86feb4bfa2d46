"""The file of a checkpoint: a payload with a header by which damage is found before anything is made of it.

    magic, 8 bytes | version, 4 | length of the payload, 8 | sha256, 32 | payload by ``torch.save``

The digest covers everything but itself. It detects damage, not malice: what keeps a hostile file
from running code is ``weights_only=True``. `torch.load` reads most flipped bits as other weights.
"""

import hashlib
import struct
from pathlib import Path

from zoo.errors import CheckpointError

LAST, BEST = "last.pt", "best.pt"  # of a run's checkpoints
MAGIC = b"ZOOCKPT\n"
VERSION = 1
ZIP = b"PK\x03\x04"
_PREFIX = struct.Struct("<8sIQ")  # later versions keep this layout, so that they are recognised
_HEADER_BYTES = _PREFIX.size + hashlib.sha256().digest_size


class DamagedError(CheckpointError):
    """Damaged or missing, so that the previous checkpoint is worth a try."""


def header(version: int, payload: bytes | memoryview) -> bytes:
    """What a file begins with, before its payload."""
    prefix = _PREFIX.pack(MAGIC, version, len(payload))
    return prefix + _digest(prefix, payload)


def _digest(prefix: bytes, payload: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(prefix)
    digest.update(payload)
    return digest.digest()


def read_payload(path: Path) -> bytes:
    """The payload of a file whose length and digest were found right.

    Raises:
        DamagedError: it is missing or damaged.
        CheckpointError: it cannot be read, or is of another version.
    """
    start, payload = _read(path)
    _verify(path, start, payload)
    return payload


def _read(path: Path) -> tuple[bytes, bytes]:
    if path.exists() and not path.is_file():  # to open a FIFO would wait for a writer
        found = "a folder" if path.is_dir() else "a FIFO, a socket or a device"
        raise CheckpointError(
            f"expected a checkpoint file at {path}; got {found}; name a file that save_checkpoint wrote"
        )
    try:
        with open(path, "rb") as file:
            return file.read(_HEADER_BYTES), file.read()
    except FileNotFoundError:
        raise DamagedError(
            f"no checkpoint at {path}: expected a file, found nothing; check the path"
        ) from None
    except OSError as error:
        raise CheckpointError(
            f"could not read checkpoint {path}: got '{reason(error)}'; mend the permissions or the disk"
        ) from error


def _verify(path: Path, start: bytes, payload: bytes) -> None:
    previous = previous_path(path)
    cure = f"use {f'{previous.name}, ' if previous.exists() else ''}a copy, or train again"
    total = len(start) + len(payload)
    if start[: len(MAGIC)] != MAGIC[: len(start)] or not start:
        raise DamagedError(
            f"{path} is not a checkpoint of this library: expected a file that starts with {MAGIC!r}; "
            f"got {describe(start)}; {cure}"
        )
    if len(start) < _HEADER_BYTES:
        raise DamagedError(
            f"checkpoint {path} is truncated: expected at least {_HEADER_BYTES} bytes; got {total}; {cure}"
        )
    prefix, digest = start[: _PREFIX.size], start[_PREFIX.size :]
    _, version, length = _PREFIX.unpack(prefix)
    if length != len(payload):
        raise DamagedError(
            f"checkpoint {path} is truncated or damaged: expected {_HEADER_BYTES + length} bytes; "
            f"got {total}; {cure}"
        )
    if _digest(prefix, payload) != digest:
        raise DamagedError(
            f"checkpoint {path} is damaged: expected sha256 {digest.hex()[:12]}...; "
            f"got {_digest(prefix, payload).hex()[:12]}...; {cure}"
        )
    if version != VERSION:
        raise CheckpointError(
            f"checkpoint {path} has another format: expected version {VERSION}; got {version}; "
            "load it with the version of this library that wrote it"
        )


def describe(start: bytes) -> str:
    """What a file or a payload is that is not ours, by how it starts."""
    if not start:
        return "nothing, it is empty"
    if start.startswith(ZIP):
        return "a zip archive, perhaps of torch.save itself"
    if start.startswith(b"\x80"):
        return "a pickle"
    return repr(start[: len(MAGIC)])


def previous_path(path: str | Path) -> Path:
    """Where `save_checkpoint` keeps the checkpoint before the one at `path`.

    >>> previous_path("run/last.pt").name
    'last.previous.pt'
    """
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def reason(error: Exception) -> str:
    """What an error says, in a line."""
    text = error.strerror if isinstance(error, OSError) else str(error)
    return (text or type(error).__name__).splitlines()[0]
