"""Weights files: the tensors of a trained system and what they are, whole or refused; nothing in them runs.

One safetensors file. Its metadata hold, beside PyTorch's ``format``,

    zoo      JSON: what the tensors are (a run's configuration, its record), and which names share a tensor
    sha256   of the whole file, these 64 digits being zeros

so that a byte that was changed, lost or added anywhere is found before anything is made of it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors.torch import load, save
from torch import Tensor

from zoo.errors import CheckpointError, UsageError
from zoo.training.files import WEIGHTS, replace_file

StoredType = Literal["float32", "float16", "bfloat16"]

_FORMAT = 1
_UNSIGNED = "0" * 64
_LENGTH_BYTES = 8  # of the header's length, before the header
_ALIGNMENT = 8  # of the tensors' bytes


@dataclass(frozen=True)
class Weights:
    """What a weights file holds.

    Attributes:
        path: of the file.
        tensors: by name, as a state dict has them.
        about: what they are.
    """

    path: Path
    tensors: dict[str, Tensor]
    about: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the run, as in its config.json; empty where there is none."""
        config: dict[str, Any] = self.about.get("config", {})
        return config


def save_weights(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, Any],
    *,
    dtype: StoredType = "float32",
) -> Path:
    """Write a weights file; the bytes depend on the arguments only.

    Args:
        path: of a new file, which ends in ``.safetensors``.
        tensors: by name. Names of one tensor share it in the file and when it is read.
        about: what they are, as JSON can hold it.
        dtype: of the tensors that are float32 here; others are kept as they are.

    Raises:
        UsageError: if the file is there or cannot be written, or a number is too large for the type.
    """
    path = require_weights_place(path)
    first, shared = _distinct(tensors)
    stored = {name: _converted(name, tensor, dtype) for name, tensor in first.items()}
    text = json.dumps({"format": _FORMAT, "shared": shared, **about}, allow_nan=False)
    content = _with_metadata(save(stored), {"format": "pt", "zoo": text, "sha256": _UNSIGNED})
    digest = hashlib.sha256(content).hexdigest()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content.replace(_UNSIGNED.encode(), digest.encode(), 1))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return path


def require_weights_place(path: str | Path) -> Path:
    """Check, before the work is done, that `save_weights` may write there.

    Raises:
        UsageError: if the file is there, or is not named ``.safetensors``.
    """
    path = Path(path)
    if path.suffix != WEIGHTS:
        raise UsageError(f"expected a weights file's name to end in {WEIGHTS}; got {path}; rename it")
    if path.exists():
        raise UsageError(
            f"expected a new file for the weights; got {path}, which is there; choose another name"
        )
    return path


def load_weights(path: str | Path) -> Weights:
    """Read what `save_weights` wrote.

    Raises:
        CheckpointError: if it is missing, damaged, foreign or of a newer format.
    """
    path = Path(path)
    content = _content(path)
    metadata = _metadata(path, content)
    digest = metadata["sha256"]
    if hashlib.sha256(content.replace(digest.encode(), _UNSIGNED.encode(), 1)).hexdigest() != digest:
        raise _damaged(path, "its sha256 is not the one that it was written with")
    about = json.loads(metadata["zoo"])
    if about.pop("format") != _FORMAT:
        raise CheckpointError(
            f"{path} has another format than {_FORMAT}; load it with a newer version of zoo"
        )
    tensors = load(content)
    return Weights(
        path, tensors | {name: tensors[first] for name, first in about.pop("shared").items()}, about
    )


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise CheckpointError(f"expected a weights file at {path}; got something else; name another")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"could not read weights {path}: got '{error.strerror}'; check the path"
        ) from error


def _metadata(path: Path, content: bytes) -> dict[str, str]:
    """The metadata of the header; its sha256 and its JSON are there, right or not."""
    length, header, _ = _parts(content)
    if len(content) < _LENGTH_BYTES or len(header) < length:
        raise _damaged(path, "it is truncated, or no safetensors file")
    try:
        metadata = json.loads(header)["__metadata__"]
        found = {key: str(metadata[key]) for key in ("sha256", "zoo")}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _damaged(path, "its header is not that of a file by zoo export") from None
    if len(found["sha256"]) != len(_UNSIGNED):
        raise _damaged(path, "its sha256 has another length")
    return found


def _parts(content: bytes) -> tuple[int, bytes, bytes]:
    """Of a safetensors file: the header's length, the header, JSON, and the tensors' bytes."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    end = _LENGTH_BYTES + length
    return length, content[_LENGTH_BYTES:end], content[end:]


def _with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """A safetensors file with metadata in this order; the library's own order changes by the call."""
    _, header, data = _parts(content)
    text = json.dumps({"__metadata__": metadata, **json.loads(header)}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text + data


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{path} is damaged or no weights file: {reason}; fetch or export it again")


def _distinct(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The first name of each tensor; and, of every other name, which that is."""
    first: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    names: dict[Any, str] = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        known = names.setdefault(place, name) if tensor.numel() else name
        if known == name:
            first[name] = tensor
        else:
            shared[name] = known
    return first, shared


def _converted(name: str, tensor: Tensor, dtype: StoredType) -> Tensor:
    """A tensor on the CPU, of its own memory; float32 becomes `dtype`."""
    if dtype not in get_args(StoredType):
        raise UsageError(f"expected dtype to be one of {', '.join(get_args(StoredType))}; got {dtype!r}")
    target = getattr(torch, dtype) if tensor.dtype is torch.float32 else tensor.dtype
    converted = tensor.detach().cpu().to(target).contiguous().clone()
    if not torch.equal(converted.isfinite(), tensor.detach().cpu().isfinite()):
        raise UsageError(f"{name} has numbers that {dtype} cannot hold: take --dtype bfloat16 or float32")
    return converted
