"""Runs that are ended at random times, by SIGKILL and SIGTERM, and resumed."""

import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults import systems
from tests.faults.systems import FINETUNED, SYSTEMS, TWO
from tests.faults.tally import Tally
from tests.training import runs

GRACE = 30.0  # seconds between torchrun's SIGTERM to the processes that are left and its SIGKILL


def kills(count: int, folder: Path, rng: random.Random) -> Iterator[Tally]:
    """SIGKILL at random times."""
    names = [*SYSTEMS, FINETUNED, TWO]
    share = [count // len(names) + (i < count % len(names)) for i in range(len(names))]
    for i, (name, n) in enumerate(zip(names, share, strict=True)):
        if n:
            yield _ended(name, n, folder / f"kills-{i}", rng, signal.SIGKILL)


def stops(count: int, folder: Path, rng: random.Random) -> list[Tally]:
    """SIGTERM at random times."""
    return [_ended(next(iter(SYSTEMS)), count, folder / "stops", rng, signal.SIGTERM)]


def _ended(name: str, count: int, folder: Path, rng: random.Random, number: signal.Signals) -> Tally:
    """End a run again and again until it has reached its end, then the next one, until `count` signals."""
    tally = Tally(f"{number.name} at a random time: {name}", tried=count)
    folder.mkdir(parents=True)
    systems.prepare(name, folder)
    began = time.monotonic()
    life = _Two if name == TWO else _One
    code, said = life(systems.training(name, folder / "reference")).end()
    assert code == 0, said
    seconds, sent, slowest, done, run = time.monotonic() - began, began, 0.0, 0, 0
    while done < count or (folder / f"{run}").exists():
        out = folder / f"{run}"
        whole, began = not out.exists(), time.monotonic()
        process = life(systems.training(name, out))
        if done < count:
            process.wait(rng.uniform(0, seconds))
            sent = time.monotonic()
            process.signal(number, rng)
        code, said = process.end()
        ended_by_it = code in ((-number,) if number == signal.SIGKILL else (75, -number))
        if whole and code == 0:  # the reference may have taken longer: it imported
            seconds = min(seconds, time.monotonic() - began)
        done += ended_by_it
        slowest = max(slowest, time.monotonic() - sent) if ended_by_it else slowest
        _judge(tally, out, code, said, ended_by_it)
        run += code == 0 or not ended_by_it
    tally.note = f"{run} runs, each compared whole; ended within {slowest:.1f} s"
    return tally


def _judge(tally: Tally, run: Path, code: int, said: str, ended_by_it: bool) -> None:
    """Compare a run that has reached its end; one that ended otherwise did so by the signal, in a line."""
    if code == 0:
        wrong = systems.differences(run, run.parent / "reference")
        tally.add("wrong" if wrong else "identical", f"run {run.name} differs in {wrong}")
    elif not ended_by_it or "Traceback" in said:
        tally.add("wrong", f"run {run.name}: exit code {code}: {said[-300:]}")


class _One:
    """A run of one process."""

    def __init__(self, arguments: tuple[object, ...]) -> None:
        self.command = systems.start(arguments)

    def wait(self, seconds: float) -> None:
        self.command.process.join(seconds)

    def signal(self, number: signal.Signals, rng: random.Random) -> None:
        if self.command.process.is_alive():
            runs.os.kill(self.command.process.pid, number)

    def end(self) -> tuple[int, str]:
        code, _, said = self.command.end()
        return code, said


class _Two:
    """A run of two processes, of which one is killed; the other is ended as torchrun does."""

    def __init__(self, arguments: tuple[object, ...]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        self.commands = [systems.start(arguments, **group, RANK=str(r), LOCAL_RANK=str(r)) for r in (0, 1)]
        self.killed: runs.Command | None = None

    def wait(self, seconds: float) -> None:
        self.commands[0].process.join(seconds)

    def signal(self, number: signal.Signals, rng: random.Random) -> None:
        chosen, other = rng.sample(self.commands, 2)
        if not chosen.process.is_alive():
            return
        runs.os.kill(chosen.process.pid, number)
        self.killed = chosen
        chosen.process.join()
        if other.process.is_alive():
            other.process.terminate()
        other.process.join(GRACE)
        if other.process.is_alive():
            other.process.kill()

    def end(self) -> tuple[int, str]:
        ends = [command.end() for command in self.commands]
        if self.killed is not None and self.killed.process.exitcode:
            return int(self.killed.process.exitcode), "".join(said for _, _, said in ends)
        return next((code for code, _, _ in ends if code), 0), "".join(said for _, _, said in ends)
