"""Hierarchies of latent variables: a training step beside hand-written PyTorch, and bounds of many samples.

    python -m tests.benchmarks.hierarchies            # the small one, two minutes
    python -m tests.benchmarks.hierarchies six        # BIVA's six layers of MNIST, 31 M parameters

The hand-written step is that of `single_pass`: the very same networks, no Pyro. The bound of K samples runs
what depends on the image alone once; beside it stand K runs of the whole model with its guide, a sample each:
in one pass as `zoo` does, and as stock Pyro does, guide, then model (`pyro.infer.Trace_ELBO`).
"""

import statistics
import sys
from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro.infer import Trace_ELBO

import zoo
from tests.benchmarks.paired import paired_seconds
from tests.benchmarks.single_pass import STAGES, check, raw_loss
from zoo import ELBO
from zoo.models.biva import biva

Programs = tuple[Any, Any]


def three_layers() -> Programs:
    """The hierarchy of `single_pass`, 12 filters."""
    return biva((1, 28, 28), STAGES)


def six_layers(*, weight_norm: bool = False) -> Programs:
    """The paper's, 64 filters, without dropout."""
    system = zoo.build("biva_mnist_paper", weight_norm=weight_norm, dropout_q=0.0, dropout_p=0.0)
    return system.model, system.guide


def main() -> None:
    """Measure and print."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pyro.enable_validation(False)
    if "six" not in sys.argv:
        steps("three layers", three_layers(), batch=24, rounds=15)
        bounds("three layers", three_layers(), k=100, whole=20, rounds=5)
        return
    steps("six layers", six_layers(), batch=16, rounds=5)
    steps("six layers, weight-normalised", six_layers(weight_norm=True), batch=16, rounds=5)
    bounds("six layers", six_layers(), k=100, whole=4, rounds=1)


def steps(name: str, programs: Programs, *, batch: int, rounds: int) -> None:
    """Forward and backward."""
    x = images(batch)
    zoo.initialise(*programs, images(32))
    check(*programs, x)
    ours = ELBO()(*programs)
    timed = {
        "hand-written": lambda: raw_loss(*programs, x).backward(),
        "zoo": lambda: ours(x).backward(),
    }
    seconds = paired_seconds(timed, rounds=rounds, repeat=1)
    report(f"{name}, training step of {batch} images", seconds, "hand-written")


def bounds(name: str, programs: Programs, *, k: int, whole: int, rounds: int) -> None:
    """The bound of k samples of 16 images; `whole` runs of the whole model, scaled to k of them."""
    x = images(16)
    once, twice = ELBO()(*programs).eval(), Trace_ELBO()(*programs)
    timed = {
        "zoo": lambda: zoo.log_weights(*programs, x, k),
        "zoo, 60 samples at a time": lambda: zoo.log_weights(*programs, x, k, chunk=60),
        f"{k} runs, one pass each": repeated(lambda: once(x), whole),
        f"{k} runs, guide, then model": repeated(lambda: twice(x), whole),
    }
    seconds = paired_seconds(timed, rounds=rounds, repeat=1)
    scaled = {
        way: [t * (1 if way.startswith("zoo") else k / whole) for t in times]
        for way, times in seconds.items()
    }
    report(f"{name}, bound of {k} samples of 16 images", scaled, "zoo")


def repeated(run: Callable[[], object], times: int) -> Callable[[], object]:
    """Several runs without gradients."""
    return torch.no_grad()(lambda: [run() for _ in range(times)])


def report(title: str, seconds: dict[str, list[float]], baseline: str) -> None:
    """The best of the rounds, the median of their ratios and their extremes, as Markdown."""
    print(f"\n{title}\n\n| | CPU s | ratio | of the rounds |\n|---|---|---|---|")
    for way, times in seconds.items():
        of_rounds = [t / base for t, base in zip(times, seconds[baseline], strict=True)]
        spread = f"{min(of_rounds):.2f} - {max(of_rounds):.2f}"
        print(f"| {way} | {min(times):.3f} | {statistics.median(of_rounds):.2f} | {spread} |", flush=True)


def images(n: int) -> torch.Tensor:
    """Random binary images."""
    return torch.rand(n, 1, 28, 28).round()


if __name__ == "__main__":
    main()
