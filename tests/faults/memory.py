"""Memory: of many steps, and of many importance samples."""

import multiprocessing
import random
import resource
from pathlib import Path
from typing import Any

import torch

import zoo
from tests.faults.tally import Tally
from tests.training import runs

LIMIT = 1.2  # of the peak for K = 5000 against that for K = 50
GROWTH = 8 * 2**20  # bytes in all steps after the first fifth: what an allocator may shuffle
SAMPLES = (50, 5000)


def memory(steps: int, folder: Path, rng: random.Random) -> list[Tally]:
    """Growth over the steps, and peaks of two evaluations."""
    grown = _elsewhere(_growth, steps)
    growth = Tally(
        f"growth of memory over {steps} steps", note=f"{grown / 2**20:.1f} MiB after the first fifth"
    )
    growth.add("identical" if grown < GROWTH else "wrong", growth.note)
    few, many = (_elsewhere(_peak, k) for k in SAMPLES)
    peak = Tally(f"peak memory of K = {SAMPLES[1]} against K = {SAMPLES[0]}, 1,000 images")
    peak.note = f"{many / few:.3f} ({few / 2**20:.0f} and {many / 2**20:.0f} MiB)"
    peak.add("identical" if many < LIMIT * few else "wrong", peak.note)
    return [growth, peak]


def _elsewhere(function: Any, argument: int) -> float:
    """The value of a function, called in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(function, argument, sender))
    process.start()
    sender.close()  # or a process that fails would be waited for
    value: float = receiver.recv()
    process.join()
    return value


def _answer(function: Any, argument: int, sender: Any) -> None:
    torch.set_num_threads(1)
    sender.send(function(argument))


def _growth(steps: int) -> float:
    seen: list[int] = []
    runs.fit_digits(None, callbacks=[lambda trainer: seen.append(_resident())], steps=steps, log_every=100)
    return float(max(seen) - max(seen[: max(1, len(seen) // 5)]))


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _peak(k: int) -> float:
    system = zoo.build("vae_digits", channels=4, latent=3)
    x = next(iter(runs.digits(100).epoch(0)))
    zoo.log_likelihood(system.model, system.guide, x.repeat(10, 1, 1, 1), k, seed=0)
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
