"""Training steps on a GPU: images a second, memory, and what share of the chip's arithmetic they use.

    python -m tests.benchmarks.gpu                          # make bench-gpu
    python -m tests.benchmarks.gpu --device cpu --systems biva_digits --ways eager --steps 2

A step is the loss, its gradients and Adamax. Eager, PyTorch launches each kernel; compiled, those of the loss
are fused (`zoo.compile_loss`), or of the repeated networks only (blocks); in bf16, networks run in bfloat16;
in a CUDA graph the whole step is captured once and launched as one. The arithmetic is counted by
``torch.utils.flop_counter`` on one eager step: far below the chip's peak, launches or memory limit the step.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.training.captured import WARMUP, cuda_graph
from zoo.training.compiled_blocks import CompiledBlocks
from zoo.training.precision import MixedPrecision

SYSTEMS = {  # and images of a batch
    "biva_mnist_paper": 48,
    "biva_cifar10_paper": 48,
    "nvae_mnist_paper": 100,
    "nvae_cifar10_paper": 16,
}


@dataclass(frozen=True)
class Measured:
    """What a step takes.

    Attributes:
        seconds: of a step.
        images: of a batch.
        memory: bytes at the peak, 0 on a CPU.
        flops: of a step.
    """

    seconds: float
    images: int
    memory: int
    flops: int

    def row(self, system: str, way: str) -> str:
        """A row of the table."""
        return (
            f"| {system} | {way} | {self.images / self.seconds:.0f} | {self.memory / 2**30:.2f} | "
            f"{self.flops / self.seconds / 1e12:.2f} |"
        )


class Step:
    """One training step of an experiment's system on random images; called, it runs."""

    def __init__(self, name: str, batch: int, device: torch.device) -> None:
        torch.manual_seed(0)
        system = zoo.build(name)
        self.loss: Any = system.loss().to(device).train()
        images = torch.randint(256, (batch, *system.image_shape), dtype=torch.uint8)
        self.x = system.encoding(images, system.levels or 256, torch.Generator().manual_seed(0)).to(device)
        self.optimizer = torch.optim.Adamax(
            [p for p in self.loss.parameters() if p.requires_grad],
            capturable=device.type == "cuda",
        )

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=False)
        self.loss(self.x).backward()
        self.optimizer.step()


def eager(step: Step) -> Callable[[], None]:
    """As it is."""
    return step


def compiled(step: Step) -> Callable[[], None]:
    """With a compiled loss."""
    step.loss = zoo.compile_loss(step.loss, step.x)
    return step


def blocks(step: Step) -> Callable[[], None]:
    """With compiled blocks."""
    compiled = CompiledBlocks(step.loss)

    def run() -> None:
        with compiled.on():
            step()

    return run


def bf16(step: Step) -> Callable[[], None]:
    """With networks in bfloat16."""
    mixed = MixedPrecision(step.loss, step.x.device)

    def run() -> None:
        with mixed.on():
            step()

    return run


WAYS: dict[str, Callable[[Step], Callable[[], None]]] = {
    "eager": eager,
    "bf16": bf16,
    "blocks": blocks,
    "compiled": compiled,
    "graph": cuda_graph,
    "graph-bf16": lambda step: cuda_graph(bf16(step)),
}


def measured(name: str, batch: int, way: str, *, device: torch.device, steps: int) -> Measured:
    """Seconds, memory and arithmetic of a step."""
    pyro.enable_validation(False)
    step = Step(name, batch, device)
    with FlopCounterMode(display=False) as counter:
        step()
    run = WAYS[way](step)
    for _ in range(WARMUP):
        run()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = _now(device)
    for _ in range(steps):
        run()
    seconds = (_now(device) - start) / steps
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return Measured(seconds, batch, memory, counter.get_total_flops())


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--systems", nargs="+", default=[*SYSTEMS])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args(arguments)
    if options.device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu measures a CPU")
    print("| system | way | images/s | memory GiB | TFLOP/s |\n|---|---|---|---|---|")
    for name in options.systems:
        batch = options.batch_size or SYSTEMS.get(name, 16)
        for way in options.ways:
            found = measured(name, batch, way, device=options.device, steps=options.steps)
            print(found.row(name, way), flush=True)


if __name__ == "__main__":
    main()
