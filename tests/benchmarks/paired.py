"""Timing several ways of doing the same work, side by side in one process.

Rounds are interleaved, so that a busy machine disturbs all alike; the figure of each is the median over the
rounds of its CPU time divided by the baseline's in the same round.
"""

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def ratios(
    steps: Mapping[str, Callable[[], object]], *, baseline: str, rounds: int = 15, repeat: int = 3
) -> dict[str, tuple[float, float]]:
    """For each step its best CPU seconds and its median ratio to the baseline; one thread."""
    seconds = paired_seconds(steps, rounds=rounds, repeat=repeat)
    base = seconds[baseline]
    return {
        name: (min(times), statistics.median(t / b for t, b in zip(times, base, strict=True)))
        for name, times in seconds.items()
    }


def paired_seconds(
    steps: Mapping[str, Callable[[], object]], *, rounds: int, repeat: int
) -> dict[str, list[float]]:
    """For each step its CPU seconds in every round, the best of `repeat`; one thread."""
    torch.set_num_threads(1)
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(min(_cpu_seconds(step) for _ in range(repeat)))
    return seconds


def table(results: Mapping[str, tuple[float, float]]) -> str:
    """The results as Markdown."""
    lines = ["| step | CPU ms | ratio |", "|---|---|---|"]
    lines += [f"| {name} | {1000 * best:.1f} | {ratio:.2f} |" for name, (best, ratio) in results.items()]
    return "\n".join(lines)


def _cpu_seconds(step: Callable[[], object]) -> float:
    started = time.process_time()
    step()
    return time.process_time() - started
