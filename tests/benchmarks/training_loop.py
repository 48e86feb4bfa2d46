"""What the training loop, and a run around it, cost besides the steps themselves.

    python -m tests.benchmarks.training_loop            # 20 epochs of the small BIVA of digits
    python -m tests.benchmarks.training_loop 120        # all of them

Within one training the CPU time of what a bare loop has is added up, images, the objective's forward and
backward pass and the optimiser, and set beside that of the whole: a busy machine disturbs both alike. The
rest is averaged parameters, seeds, the gradient's norm and checks of it, logging, checkpoints, and what is
watched, whose parts are printed.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch

import zoo
from zoo.data import Batches, Binary
from zoo.experiments import find
from zoo.infer.objectives import ELBOLoss
from zoo.runs import monitor
from zoo.runs.monitor import Monitor
from zoo.training.trainer import Trainer

NAME = "biva_digits"
BARE = {
    "images": (Batches, "epoch"),
    "forward": (ELBOLoss, "forward"),
    "backward": (torch.Tensor, "backward"),
    "gradients set to none": (torch.optim.Adamax, "zero_grad"),
    "optimiser": (torch.optim.Adamax, "step"),
}
WATCHED = {
    "validation": (monitor, "mean_elbo"),
    "active units": (monitor, "units_in_use"),
    "pictures": (Monitor, "pictures"),
}
WHOLE = {"whole": (Trainer, "run_to_the_end")}


def main() -> None:
    """Measure and print."""
    zoo.tune_process()
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    torch.set_num_threads(1)
    account = {name: 0.0 for group in (BARE, WATCHED, WHOLE) for name in group}
    for name, (owner, attribute) in {**BARE, **WATCHED, **WHOLE}.items():
        if name != "images":
            setattr(owner, attribute, clocked(account, name, getattr(owner, attribute)))
    Batches.epoch = clocked_batches(account, Batches.epoch)  # type: ignore[method-assign]
    for way, train in {"zoo.fit": fitted, "zoo train": trained}.items():
        account.update(dict.fromkeys(account, 0.0))
        with redirect_stderr(StringIO()):
            train(epochs)
        bare = sum(account[name] for name in BARE)
        print(
            f"{way}, {epochs} epochs: {account['whole'] / bare:.3f} of a bare loop's {bare:.1f} s", flush=True
        )
        print("".join(f"  {name} {account[name] / bare:.3f}" for name in WATCHED), flush=True)


def fitted(epochs: int) -> None:
    """The library's loop."""
    torch.manual_seed(0)
    system, digits = zoo.build(NAME), zoo.load_data("digits")
    options = find(NAME).training()
    batches = Batches(digits.train, options.batch_size, encoding=Binary(), levels=digits.levels)
    zoo.fit(system.model, system.guide, system.objective, batches, options=options, epochs=epochs)


def trained(epochs: int) -> None:
    """A whole run in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        zoo.Run.create(find(NAME).override({"epochs": epochs}), Path(folder) / "run").train()


def clocked(account: dict[str, float], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose CPU seconds are added up."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        started = time.process_time()
        try:
            return function(*arguments, **keywords)
        finally:
            account[name] += time.process_time() - started

    return call


def clocked_batches(account: dict[str, float], epoch: Callable[..., Any]) -> Callable[..., Any]:
    """The batches of an epoch, each of which is fetched by the clock."""

    def call(*arguments: Any) -> Any:
        fetch = clocked(account, "images", lambda batches: next(batches, None))
        batches = epoch(*arguments)
        while (x := fetch(batches)) is not None:
            yield x

    return call


if __name__ == "__main__":
    main()
