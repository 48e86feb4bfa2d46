"""Faults at chosen moments: kills inside a save, SIGTERM in every phase, disks that are full."""

import random
import signal
import warnings
from functools import partial
from pathlib import Path

from tests.faults import systems
from tests.faults.children import CALLS, PHASES, fill_disk, save_and_die, signal_in, states
from tests.faults.tally import Tally
from tests.training import runs
from zoo.training.checkpoint import load_latest

SAVING = 8  # such calls of a save: open, fsync, unlink, link, replace, replace, fsync, unlink
NAME = next(iter(systems.SYSTEMS))


def saves(count: int, folder: Path, rng: random.Random) -> list[Tally]:
    """SIGKILL before and after every system call of a save: one of the last two states loads."""
    tally = Tally(f"SIGKILL inside a save, before and after each of its calls ({', '.join(CALLS)})")
    _, second, third = states()
    for i in range(count):
        call, after = 1 + i // 2 % SAVING, bool(i % 2)
        path = folder / f"save-{i}" / "last.pt"
        code = runs.in_process(save_and_die, path, call, after)
        if code != -signal.SIGKILL:
            tally.add("wrong", f"call {call} was not made")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = load_latest(path.parent)
        good = any(runs.same(found, state) for state in (second, third))
        tally.add("identical" if good else "wrong", f"call {call}: {found['step']}")
    tally.note = "the state before or the new one loads"
    return [tally]


def phases(count: int, folder: Path, rng: random.Random) -> list[Tally]:
    """SIGTERM in every phase of a command: exit code 75, and the resumed run is the uninterrupted one."""
    tally = Tally(f"SIGTERM in {', '.join(PHASES)}")
    systems.whole(systems.training(NAME, folder / "phases" / "reference"))
    for i in range(count):
        phase = list(PHASES)[i % len(PHASES)]
        calls = {"training": systems.STEPS, "validation": 2}.get(phase, 1)
        _hindered(tally, folder / "phases" / str(i), partial(signal_in, phase, rng.randint(1, calls)), (75,))
    return [tally]


def disks(count: int, folder: Path, rng: random.Random) -> list[Tally]:
    """Files that cannot grow beyond a size, from nothing to more than a checkpoint."""
    tally = Tally("disk full (a limit on the size of files)")
    reference = folder / "disks" / "reference"
    systems.whole(systems.training(NAME, reference))
    largest = (reference / "checkpoints" / "last.pt").stat().st_size
    for i in range(count):
        before = partial(fill_disk, int(1.1 * largest * i / max(1, count - 1)))
        _hindered(tally, folder / "disks" / str(i), before, (0, 2, 4))
    return [tally]


def _hindered(tally: Tally, run: Path, before: partial[None], codes: tuple[int, ...]) -> None:
    """Begin a run that is hindered, then resume it: one line and a known code, and the same run."""
    arguments = systems.training(NAME, run)
    code, _, said = systems.start(arguments, before).end()
    line = said.splitlines()[-1] if said else ""
    left = [str(file) for file in run.rglob(".*.tmp")]
    if code not in codes or "Traceback" in said or left or (code and not line.startswith("zoo: ")):
        tally.add("wrong", f"{before}: exit code {code}, left {left}: {said[-300:]}")
        return
    systems.whole(arguments)
    wrong = systems.differences(run, run.parent / "reference")
    tally.outcomes["detected"] += bool(code)
    tally.add("wrong" if wrong else "identical", f"{before}: differs in {wrong}")
    tally.tried += 1
