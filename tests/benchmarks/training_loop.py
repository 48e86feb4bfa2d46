"""What the training loop, and a run around it, cost besides the steps themselves.

    python -m tests.benchmarks.training_loop            # 24 epochs of the small BIVA of digits
    python -m tests.benchmarks.training_loop 120        # all of them

Before every step of the loop a bare one is run on the same batch, with a system and an optimiser of its own:
gradients set to none, forward, backward, optimiser. So a busy machine disturbs both alike. What the loop adds
is averaged parameters, seeds, the gradient's norm and checks of it, logging, checkpoints, and what is
watched, whose parts are printed.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor

import zoo
from zoo.data import Batches, Binary
from zoo.experiments import find
from zoo.runs import monitor
from zoo.runs.monitor import Monitor
from zoo.training import trainer
from zoo.training.optimizers import optimizer
from zoo.training.trainer import Trainer

NAME = "biva_digits"
WATCHED = {
    "validation": (monitor, "mean_elbo"),
    "active units": (monitor, "units_in_use"),
    "pictures": (Monitor, "pictures"),
    "checkpoints": (trainer, "save_checkpoint"),
}


class Account:
    """CPU seconds: of bare steps and of the loop's, one by one, and of parts of a run by name."""

    def __init__(self) -> None:
        self.bare, self.loop = list[float](), list[float]()
        self.parts: dict[str, float] = {}

    def clocked(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose CPU seconds are added up."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            started = time.process_time()
            try:
                return function(*arguments, **keywords)
            finally:
                self.parts[name] = self.parts.get(name, 0.0) + time.process_time() - started

        return call

    def beside(self, epoch: Callable[..., Iterator[Tensor]], step: Callable[[Tensor], None]) -> Any:
        """The batches of an epoch; before each is handed on, a bare step is run on it."""

        def call(*arguments: Any) -> Iterator[Tensor]:
            for x in epoch(*arguments):
                started = time.process_time()
                step(x)
                self.bare.append(time.process_time() - started)
                started = time.process_time()
                yield x  # after the last step of all nothing comes back
                self.loop.append(time.process_time() - started)

        return call


def main() -> None:
    """Measure and print."""
    zoo.tune_process()
    torch.set_num_threads(1)
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    run, handed_on = Trainer.run_to_the_end, Batches.epoch
    functions = {name: getattr(owner, attribute) for name, (owner, attribute) in WATCHED.items()}
    for way, train in {"zoo.fit": fitted, "zoo train": trained}.items():
        account = Account()
        for name, (owner, attribute) in WATCHED.items():
            setattr(owner, attribute, account.clocked(name, functions[name]))
        Trainer.run_to_the_end = account.clocked("whole", run)  # type: ignore[method-assign]
        Batches.epoch = account.beside(handed_on, bare_step())  # type: ignore[method-assign]
        with redirect_stderr(StringIO()):
            train(epochs)
        report(f"{way}, {epochs} epochs", account)


def bare_step() -> Callable[[Tensor], None]:
    """Gradient and optimiser, and nothing else."""
    torch.manual_seed(0)
    loss, options = zoo.build(NAME).loss().train(), find(NAME).training()
    optimiser = optimizer(loss.parameters(), options)

    def step(x: Tensor) -> None:
        with pyro.validation_enabled(False):
            optimiser.zero_grad()
            loss(x).backward()
            optimiser.step()

    return step


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


def report(title: str, account: Account) -> None:
    """Print the whole, the median step and the parts, of the bare steps' seconds."""
    bare = sum(account.bare)
    whole = account.parts.pop("whole") - bare
    ratios = [a / b for a, b in zip(account.loop, account.bare, strict=False)]
    low, *_, high = statistics.quantiles(ratios, n=10)
    print(f"{title}: {whole / bare:.3f} of bare steps' {bare:.1f} s, {len(ratios)} steps")
    print(f"  a step, median of the ratios {statistics.median(ratios):.3f} ({low:.2f} - {high:.2f})")
    print("".join(f"  {name} {seconds / bare:.3f}" for name, seconds in account.parts.items()), flush=True)


if __name__ == "__main__":
    main()
