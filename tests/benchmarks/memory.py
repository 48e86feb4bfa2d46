"""Memory of hierarchies on a CPU, each figure the peak resident set of a process of its own.

    python -m tests.benchmarks.memory bounds      # of 16 images by K = 10, 100, 1000 samples, 10 at a time
    python -m tests.benchmarks.memory training    # of fifteen layers, CIFAR-10, with and without checkpoints

A training step is forward and backward, with the gradients and without an optimiser. Of two batch sizes the
difference is the memory that images take; the rest, parameters, gradients, normalised weights, is constant.
What is kept for the backward pass is counted once a storage, parameters apart.
"""

import json
import resource
import subprocess
import sys
from typing import Any

import torch
from torch import Tensor

import zoo
from tests.benchmarks.hierarchies import images, three_layers

SAMPLES = (10, 100, 1000)
BATCHES = (4, 32)


def main(what: str, *arguments: str) -> None:
    """Measure and print, or be one of the processes."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if arguments:
        print(json.dumps(PROCESSES[what](*map(int, arguments))))
    else:
        TABLES[what]()


def bounds() -> None:
    """The table of the bounds."""
    print("| K | peak MiB |\n|---|---|")
    for k in SAMPLES:
        print(f"| {k} | {measured('bounds', k)['peak']:.0f} |", flush=True)


def bound(k: int) -> dict[str, float]:
    """The bound of k samples of 16 images by the three layers of `hierarchies`."""
    zoo.log_likelihood(*three_layers(), images(16), k, chunk=10)
    return {"peak": peak()}


def training() -> None:
    """The table of the training steps."""
    print("| checkpoints | batch | peak MiB | kept for backward, MiB |\n|---|---|---|---|")
    for checkpoints in (0, 1):
        for batch in BATCHES:
            found = measured("training", checkpoints, batch)
            name = "yes" if checkpoints else "no"
            print(f"| {name} | {batch} | {found['peak']:.0f} | {found['kept']:.0f} |", flush=True)


def step(checkpoints: int, batch: int) -> dict[str, float]:
    """A training step of the paper's model of CIFAR-10."""
    system = zoo.build("biva_cifar10_paper", checkpoint_activations=bool(checkpoints))
    loss = system.loss().train()
    x = 2 * torch.rand(batch, 3, 32, 32).mul(255).round() / 255 - 1
    kept = Kept(loss)
    with kept:
        value = loss(x)
    value.backward()
    return {"peak": peak(), "kept": kept.mebibytes()}


class Kept(torch.autograd.graph.saved_tensors_hooks):
    """Counts what autograd keeps of a step, parameters apart, while it is entered."""

    def __init__(self, loss: Any) -> None:
        super().__init__(self._pack, lambda tensor: tensor)
        self.own = {p.untyped_storage().data_ptr() for p in loss.parameters()}
        self.sizes: dict[int, int] = {}

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.own:
            self.sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    def mebibytes(self) -> float:
        """All storages together; none of them can have taken another's place, for the graph holds them."""
        return sum(self.sizes.values()) / 2**20


def peak() -> float:
    """The peak resident set of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(what: str, *arguments: int) -> dict[str, float]:
    """One of the figures, by a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", what, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


PROCESSES = {"bounds": bound, "training": step}
TABLES = {"bounds": bounds, "training": training}

if __name__ == "__main__":
    main(*sys.argv[1:])
