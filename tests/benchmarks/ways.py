"""Ways to run the same training step: as it is, in channels-last memory, with networks compiled.

    python -m tests.benchmarks.ways                                        # without a compiler
    python -m tests.benchmarks.ways biva_digits --ways eager blocks

A step is the loss and its gradients on random images, a batch of the experiment's size; one thread. What
compiling takes is in CPU seconds, the compiler's among them.
"""

import argparse
import os
from collections.abc import Callable, Sequence

import pyro
import torch

import zoo
from tests.benchmarks.paired import ratios, table
from zoo.experiments import find
from zoo.nn.channels_last import lay_channels_last
from zoo.training.compiled_blocks import CompiledBlocks

SYSTEMS = ["biva_digits", "biva_mnist_small", "nvae_mnist_small", "pixelcnn_mnist"]


class Step:
    """The loss of an experiment's system and its gradients; called, it runs."""

    def __init__(self, name: str, batch: int | None = None) -> None:
        torch.manual_seed(0)
        system = zoo.build(name)
        self.loss = system.loss().train()
        size = (batch or find(name).option("batch_size"), *system.image_shape)
        images = torch.randint(256, size, dtype=torch.uint8)
        self.x = system.encoding(images, system.levels or 256, torch.Generator().manual_seed(0))

    def __call__(self) -> None:
        self.loss.zero_grad()
        self.loss(self.x).backward()


def channels_last(step: Step) -> Step:
    """In channels-last memory."""
    lay_channels_last(step.loss)
    return step


def blocks(step: Step) -> Callable[[], None]:
    """With its blocks compiled; prints what that takes."""
    compiled = CompiledBlocks(step.loss)
    before = _cpu_seconds()
    said = compiled.compile(step).partition(" in ")[0]
    print(f"{said}, with eight steps, in {_cpu_seconds() - before:.0f} CPU s", flush=True)

    def run() -> None:
        with compiled.on():
            step()

    return run


WAYS: dict[str, Callable[[Step], Callable[[], None]]] = {
    "eager": lambda step: step,
    "channels_last": channels_last,
    "blocks": blocks,
    "both": lambda step: blocks(channels_last(step)),
}


def _cpu_seconds() -> float:
    return sum(os.times()[:4])  # of this process and of those that it has waited for


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each system."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("systems", nargs="*", default=SYSTEMS)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["eager", "channels_last"])
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    pyro.enable_validation(False)
    torch.set_num_threads(1)
    for name in options.systems:
        steps = {way: WAYS[way](Step(name, options.batch_size)) for way in options.ways}
        results = ratios(steps, baseline="eager", rounds=options.rounds, repeat=1)
        print(f"\n{name}\n\n{table(results)}", flush=True)


if __name__ == "__main__":
    main()
