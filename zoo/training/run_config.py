"""``config.json`` of a run: JSON with a checksum, checked when it is read."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from zoo.errors import CheckpointError
from zoo.training.stamps import STAMP, stamped, unstamped

FORMAT = 1  # of config.json
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


def read_config(path: Path) -> dict[str, Any]:
    """What the file says, without its checksum.

    Raises:
        CheckpointError: if it is damaged, or of another format.
    """
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


def config_text(config: Mapping[str, Any]) -> str:
    """The file of a configuration, with its checksum."""
    return json.dumps(stamped(config), indent=2, allow_nan=False) + "\n"


def _require_kind(path: Path, name: str, value: Any, kind: type | UnionType) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = getattr(kind, "__name__", str(kind))
        raise CheckpointError(
            f"expected {name} of type {expected} in {path}; got {type(value).__name__}; restore the file or "
            "start another run"
        )
