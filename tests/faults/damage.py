"""Files of a run that are truncated, have a bit flipped or a page zeroed; and files that hold a payload."""

import io
import os
import pickle
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.faults import systems
from tests.faults.tally import Tally
from tests.training import runs
from tests.training.test_resume import events
from zoo.errors import ZooError
from zoo.runs.run import Run
from zoo.training import checkpoint, checkpoint_format
from zoo.training.checkpoint_format import BEST
from zoo.training.run_folder import RunFolder

PAGE = 4096


def damage(count: int, folder: Path, rng: random.Random) -> list[Tally]:
    """For every 2 truncations and 2 zeroed pages, 8 flipped bits, over all files of a run."""
    run = folder / "damage" / "run"
    systems.whole(systems.training(next(iter(systems.SYSTEMS)), run))
    kinds = {"truncation": truncated, "flipped bit": flipped, "zeroed page": zeroed}
    counts = dict(zip(kinds, (count // 6, count - 2 * (count // 6), count // 6), strict=True))
    return [_damaged(kind, kinds[kind], counts[kind], run, rng) for kind in kinds]


def truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def flipped(content: bytes, rng: random.Random) -> bytes:
    bit = rng.randrange(8 * len(content))
    return content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :]


def zeroed(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(0, len(content), PAGE)
    return content[:start] + bytes(len(content[start : start + PAGE])) + content[start + PAGE :]


def _damaged(
    kind: str, change: Callable[[bytes, random.Random], bytes], count: int, run: Path, rng: random.Random
) -> Tally:
    tally = Tally(f"{kind}, any file of a run")
    files = sorted(file for file in run.rglob("*") if file.is_file() and file.stat().st_size)
    expected = {reader: READERS[reader](run) for reader in READERS}
    for i in range(count):
        file = files[i % len(files)]
        content = file.read_bytes()
        file.write_bytes(change(content, rng))
        tally.add(_outcome(run, expected), f"{file.relative_to(run)} is read as something else")
        file.write_bytes(content)
    tally.note = f"{len(files)} files: checkpoints, configuration, figures, event files, pictures"
    return tally


def _outcome(run: Path, expected: dict[str, Any]) -> str:
    """Detected where it is refused, warned of, or lost; wrong where another value is read without a word.

    Pictures are not read again by anything here.
    """
    outcome = "identical"
    for name, read in READERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                found = read(run)
        except (ZooError, RuntimeWarning):
            outcome = "detected"
            continue
        if not runs.same(found, expected[name]):
            if not _lost(found, expected[name]):
                return "wrong"
            outcome = "detected"
    return outcome


def _lost(found: Any, expected: Any) -> bool:
    """Whether all that is read is right, and some of it is not there."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in expected and _lost(value, expected[key]) for key, value in found.items()
        )
    return runs.same(found, expected) or (
        isinstance(found, list) and all(value in expected for value in found)
    )


def _system(run: Path) -> Any:
    opened = Run.open(run)
    return {
        "options": str(opened.experiment.options()),
        "seed": opened.seed,
        "data_root": str(opened.data_root),
        "weights": opened.system.state_dict(),
        "last": checkpoint.load_latest(run / "checkpoints"),
    }


READERS: dict[str, Callable[[Path], Any]] = {
    "system": _system,
    "metrics": lambda run: RunFolder.open(run).read_metrics(),
    "TensorBoard": events,
}


# Payloads


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def payloads(count: int, folder: Path, rng: random.Random) -> list[Tally]:
    """Pickles that run something, as every file that is read: refused with a line, and nothing is run."""
    tally = Tally("a pickle with a payload as any file that is read")
    base = folder / "payloads"
    run = base / "run"
    systems.whole(systems.training(next(iter(systems.SYSTEMS)), run))
    files = [file.relative_to(run) for file in sorted(run.rglob("*")) if file.is_file()]
    one_of_each = {"checkpoints": "stem", "tensorboard": "parent", "pictures": "parent"}
    places = {getattr(file, one_of_each.get(file.parts[0], "name")): file for file in files}.values()
    for i, (place, form) in enumerate((place, form) for place in places for form in FORMS):
        mark, copy = base / f"mark-{i}", base / f"copy-{i}"
        shutil.copytree(run, copy)
        FORMS[form](copy / place, mark)
        read = place.name in ("last.pt", BEST)
        if read:  # nor is the one before it good
            FORMS[form](checkpoint.previous_path(copy / place), mark)
        arguments = ("evaluate", copy, "--samples", 1, "--images", 1)
        _judge(tally, f"{form} as {place}", arguments, mark, may_succeed=not read)
    for i, name in enumerate(("x.npy", "x.npz", "cifar-10-batches-py/data_batch_1", "x/0.png")):
        mark, file = base / f"data-mark-{i}", base / f"data-{i}" / name
        file.parent.mkdir(parents=True)
        FORMS["a pickle"](file, mark)
        data = ("--set", "data=cifar10", "--data-root", file.parent.parent)
        if "cifar" not in name:
            data = ("--set", f"data={file.parent if name == 'x/0.png' else file}")
        arguments = ("train", "vae_digits", "--out", base / f"out-{i}", *data, "--steps", 1)
        _judge(tally, name, arguments, mark, may_succeed=False)
    return [tally]


def _judge(tally: Tally, what: str, arguments: Any, mark: Path, *, may_succeed: bool) -> None:
    code, _, said = systems.start(arguments).end()
    good = not mark.exists() and "Traceback" not in said and (may_succeed or code in (2, 3, 4))
    tally.add(("detected" if code else "identical") if good else "wrong", f"{what}: {code}: {said[-300:]}")


def _pickle(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(mark)))


def _torch_save(file: Path, mark: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"step": Payload(mark)}, buffer)
    file.write_bytes(buffer.getvalue())


def _checkpoint(file: Path, mark: Path) -> None:
    """With the header and the digest of a checkpoint."""
    _torch_save(file, mark)
    payload = file.read_bytes()
    file.write_bytes(checkpoint_format.header(checkpoint_format.VERSION, payload) + payload)


def _array(file: Path, mark: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.array([Payload(mark)], dtype=object), allow_pickle=True)


def _archive(file: Path, mark: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", pickle.dumps(Payload(mark)))


FORMS: dict[str, Callable[[Path, Path], None]] = {
    "a pickle": _pickle,
    "a file of torch.save": _torch_save,
    "a checkpoint": _checkpoint,
    "a NumPy array of objects": _array,
    "an archive": _archive,
}
