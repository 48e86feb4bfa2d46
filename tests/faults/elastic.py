"""Processes that torchrun starts anew when one of them was killed."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.faults import systems
from tests.faults.tally import Tally
from zoo.training.checkpoint import load_latest

WITHIN = 60.0  # seconds until the others have ended and all are started anew


def restarts(count: int, folder: Path, rng: random.Random) -> list[Tally]:
    """Kill the first of two processes, the one that writes, `count` times in one run of torchrun."""
    tally = Tally("SIGKILL to rank 0 of two under torchrun --max-restarts", tried=count)
    _torchrun(folder / "reference", 0).wait()
    job = _torchrun(folder / "run", count)
    killed: set[int] = set()
    slowest = 0.0
    for _ in range(count):
        pid = _next(folder / "run", job, killed)
        os.kill(pid, signal.SIGKILL)
        sent = time.monotonic()
        killed.add(pid)
        _next(folder / "run", job, killed)
        slowest = max(slowest, time.monotonic() - sent)
    code = job.wait()
    wrong = systems.differences(folder / "run", folder / "reference") if code == 0 else [f"exit code {code}"]
    tally.add("wrong" if wrong or slowest > WITHIN else "identical", f"differs in {wrong}, {slowest:.0f} s")
    tally.note = f"one run; from a kill until the next process has trained: {slowest:.0f} s at most"
    return [tally]


def _torchrun(out: Path, attempts: int) -> "subprocess.Popen[bytes]":
    launcher = (
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        2,
        "--max-restarts",
        attempts,
    )
    command = (sys.executable, *launcher, "-m", "zoo", *systems.training(systems.TWO, out))
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _next(run: Path, job: "subprocess.Popen[bytes]", killed: set[int]) -> int:
    """The process that trains, when it has trained further than the last one."""
    start = _step(run)
    while job.poll() is None:
        with suppress(OSError, ValueError):
            pid = int((run / ".lock").read_text())
            if pid not in killed and _step(run) > start and Path(f"/proc/{pid}").exists():
                return pid
        time.sleep(0.02)
    raise RuntimeError(f"the run ended, {job.returncode}, before it was killed")


def _step(run: Path) -> int:
    with suppress(Exception):
        return int(load_latest(run / "checkpoints")["step"])
    return -1
