"""What the settings of `zoo.tune_process` bring: training steps of IWAE and BIVA in four processes, in turn.

    python -m tests.benchmarks.process_settings            # two minutes
    OMP_NUM_THREADS=2 python -m tests.benchmarks.process_settings

Each process has the settings of its name from its start and trains the same model; in a round every process
takes `STEPS` steps while the others wait. Denormal numbers come with training, so there are steps before.
"""

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from zoo.process import keep_freed_memory

SETTINGS = {
    "none": (),
    "allocator": ("allocator",),
    "denormals flushed": ("denormals",),
    "both": ("allocator", "denormals"),
}
ROUNDS, STEPS, BEFORE = 9, 10, 300


def main() -> None:
    """Measure and print."""
    for name in sys.argv[1:] or ("iwae_mnist", "biva_digits"):
        seconds = rounds(name)
        print(f"\n{name}\n\n| settings | ms a step | x the speed of none | peak MiB |\n|---|---|---|---|")
        for settings, (times, peak) in seconds.items():
            gain = statistics.median(a / b for a, b in zip(seconds["none"][0], times, strict=True))
            print(f"| {settings} | {1000 * min(times) / STEPS:.1f} | {gain:.2f} | {peak:.0f} |", flush=True)


def rounds(name: str) -> dict[str, tuple[list[float], float]]:
    """Seconds of every round, and the peak memory in MiB, by settings."""
    spawn = multiprocessing.get_context("spawn")
    workers: dict[str, Any] = {}
    for settings in SETTINGS:
        here, there = spawn.Pipe()
        spawn.Process(target=work, args=(name, SETTINGS[settings], there), daemon=True).start()
        workers[settings] = here
        ask(here, BEFORE)
    times: dict[str, list[float]] = {settings: [] for settings in SETTINGS}
    for _ in range(ROUNDS):
        for settings, worker in workers.items():
            times[settings].append(ask(worker, STEPS))
    return {settings: (times[settings], ask(worker, 0)) for settings, worker in workers.items()}


def ask(worker: Any, steps: int) -> float:
    """Let a process take so many steps; returns its CPU seconds, for no steps its peak memory in MiB."""
    worker.send(steps)
    answer: float = worker.recv()
    return answer


def work(name: str, settings: tuple[str, ...], asked: Any) -> None:
    """Train as one process, as long as it is asked to."""
    if "allocator" in settings:
        keep_freed_memory()
    import resource

    import torch

    torch.set_flush_denormal("denormals" in settings)
    step = trainer(name)
    while True:
        steps = asked.recv()
        if not steps:
            asked.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            return
        started = time.process_time()
        for _ in range(steps):
            step()
        asked.send(time.process_time() - started)


def trainer(name: str) -> Callable[[], object]:
    """A step of an experiment, on batches of 20 images."""
    import pyro
    import torch

    import zoo
    from zoo.data import Batches, Binary

    pyro.enable_validation(False)
    torch.manual_seed(0)
    system = zoo.build(name)
    images = zoo.load_data(name.split("_")[1], data_root=os.environ.get("DATA_ROOT", "data"))
    batches = Batches(images.train, 20, encoding=Binary(), levels=images.levels)
    loss = system.objective(system.model, system.guide)
    adam = torch.optim.Adam(loss.parameters(), lr=1e-3, fused=True)
    stream = (x for epoch in range(1000) for x in batches.epoch(epoch))

    def step() -> None:
        adam.zero_grad()
        loss(next(stream)).backward()
        adam.step()

    return step


if __name__ == "__main__":
    main()
