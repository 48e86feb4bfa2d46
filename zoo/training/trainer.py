"""The training loop.

A run is a pure function of its options and its seed: the order of images and their noise belong to
(seed, epoch, batch), all other noise to (seed, process, step). So a run that was killed and is resumed is the
run that was not killed, bit for bit (on the same device with as many threads).
"""

import copy
import io
import math
import operator
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import Tensor

from zoo.errors import CheckpointError, Interrupted
from zoo.training import parallel
from zoo.training.checkpoint import has_checkpoint, load_latest, save_checkpoint
from zoo.training.checkpoint_format import BEST
from zoo.training.clock import Clock
from zoo.training.early_stopping import EarlyStopping, require_figures
from zoo.training.finite import Finiteness
from zoo.training.logger import Logger, NullLogger
from zoo.training.optimizers import learning_rate
from zoo.training.options import TrainingOptions
from zoo.training.progress import Progress
from zoo.training.run_folder import RunFolder
from zoo.training.signals import StopRequest
from zoo.training.sources import floating
from zoo.training.state import finite_parameters, matching_checkpoint, seed_noise
from zoo.training.update import Update

SECONDS_BETWEEN_CHECKPOINTS = 30.0


@dataclass
class Fit:
    """What `fit` returns.

    Attributes:
        loss: the trained loss, an nn.Module with ``.model`` and ``.guide``.
        evaluated: the one to evaluate: the same with averaged parameters, where ``ema`` was set, of the best
            epoch, where ``choose`` was "best"; else `loss`. In evaluation mode.
        step: steps done.
        seconds: that this call took.
    """

    loss: Any
    evaluated: Any
    step: int
    seconds: float


class Trainer:
    """The state of a training run and its steps; `fit` makes one.

    Attributes:
        loss: the loss module.
        update: what a step does with the loss's gradient; parameters, optimiser, their average.
        step: steps done.
        start: the step at which the run began; not 0 where it finetunes another run.
        best: the highest figure offered so far (`offer`), None before the first; where the best are chosen.
        stopping: when figures last rose.
        logger: TensorBoard and the metrics file, or nothing.
    """

    def __init__(
        self,
        loss: Any,
        batches: Any,
        options: TrainingOptions,
        device: torch.device,
        *,
        seed: int = 0,
        run: RunFolder | None = None,
        callbacks: Iterable[Callable[["Trainer"], None]] = (),
    ) -> None:
        self.batches, self.options, self.device = batches, options, device
        self.seed, self.folder = seed, run
        self.leads = parallel.rank() == 0  # the process that writes
        self.callbacks = list(callbacks)
        if self.leads:
            require_figures(options, self.callbacks, run)
        self.update = Update(loss, options, device, self._first)
        self.loss, self.parameters = self.update.running, self.update.parameters
        self.step = self.start = 0
        self.best: float | None = None
        self.stopping = EarlyStopping()
        self.logger: Any = NullLogger()
        self._request = StopRequest()
        self._any_process = parallel.AnyProcess()
        self._stopping = False  # a signal was seen, by all processes
        self._warm = False  # after the first step
        self._saved_at = time.monotonic()
        self._finiteness = Finiteness(self.loss, device, run)
        self._saving = parallel.first_says(run is not None, device)

    @property
    def total_steps(self) -> int:
        """The step at which the run ends."""
        return self.start + (self.options.steps or self.options.epochs * len(self.batches))

    @property
    def evaluated(self) -> Any:
        """The loss to evaluate with: the average where there is one; whole in a callback."""
        return self.update.evaluated

    def run_to_the_end(self) -> Fit:
        """All steps from here on.

        Raises:
            Interrupted: after a signal, when the step is done and the checkpoint saved.
        """
        started = time.monotonic()
        shown = None if self.leads else io.StringIO()
        progress = Progress(self.total_steps, self.step, stream=shown)
        with progress, self._logger() as self.logger, StopRequest() as self._request:
            while not self._over() and not self._stopping:
                self._epoch(self.step // len(self.batches), progress)
            self._checkpoint()
            if self._stopping or self._any_process.collect() or self._request.received:
                raise Interrupted(f"interrupted at step {self.step} of {self.total_steps}")
        self.update.complete()
        return Fit(self.update.loss, self._chosen().eval(), self.step, time.monotonic() - started)

    def offer(self, figure: float) -> None:
        """Keep the parameters as they are now, where the best are chosen and `figure` is the highest so far.

        A callback calls this with a figure of how good the model is, such as the ELBO of validation images.
        Where there is a `patience`, the run ends when the figures have not risen for so many epochs.
        """
        self.stopping.offer(self.step, figure)
        better = self.best is None or figure > self.best
        if self.options.choose != "best" or self.folder is None or math.isnan(figure) or not better:
            return
        self.best = float(figure)
        state = {"step": self.step, "best": self.best, "loss": self.evaluated.state_dict(), "average": None}
        if self.leads:
            save_checkpoint(self.folder.best_checkpoint, state)

    def resume(self, folder: RunFolder) -> None:
        """Load the last checkpoint of a run, if it has one.

        Raises:
            CheckpointError: if it is damaged, was made for another model, or was lost.
        """
        if has_checkpoint(folder.checkpoints):
            device = self.device if self.update.shards is None else "cpu"  # which may not hold the whole
            self.load_state_dict(load_latest(folder.checkpoints, map_location=device))
        elif folder.metrics_file.exists() and not folder.checkpoints.exists():
            raise CheckpointError(
                f"expected {folder.checkpoints}, the folder of the checkpoints of a run that has trained; "
                "got nothing there; restore it, or train anew into another --out"
            )

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to be resumed."""
        return {
            "step": self.step,
            "start": self.start,
            "best": self.best,
            "stopping": self.stopping.state_dict(),
            **self.update.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state.

        Raises:
            CheckpointError: if it is not one of this model and recipe.
        """
        with matching_checkpoint():
            self.update.load_state_dict(state)
            self.step, self.start = operator.index(state["step"]), operator.index(state.get("start", 0))
            self.stopping.load_state_dict(state.get("stopping", {}))
            best = state.get("best")
            self.best = None if best is None else float(best)

    def train_step(self, x: Tensor) -> dict[str, Tensor]:
        """One step on a batch; returns the loss and the gradient's norm, on the device."""
        self._schedule()
        measured = self.update.gradient(x)
        self._finiteness.watch(measured, self.update.skip, step=self.step)
        self.update.apply(measured)
        self.step += 1
        return measured

    def _chosen(self) -> Any:
        """The loss with the parameters of the best epoch, where there is one; else `evaluated`.

        Of several processes the first has it: it may still have been saving when the others end.
        """
        if self.best is None or self.folder is None or not self.leads:
            return self.evaluated
        chosen = copy.deepcopy(self.evaluated)
        state = load_latest(self.folder.checkpoints, map_location=self.device, name=BEST)
        with matching_checkpoint():
            chosen.load_state_dict(state["loss"])
        return chosen

    def _epoch(self, epoch: int, progress: Progress) -> None:
        clock = Clock(self.step)
        self.loss.train()
        for x in self.batches.epoch(epoch, self.step - epoch * len(self.batches)):
            x = floating(x).to(self.device, non_blocking=True)
            seed_noise(self.device, self.seed, parallel.rank(), self.step)
            if not self._warm:
                self._begin(x, progress)
            with self._checks():
                measured = self.train_step(x)
            self._warm = True
            if self._due(self.options.log_every):
                self._log(measured, x, clock, progress)
            if self.step % len(self.batches) == 0:
                self._end_of_epoch()
            if self._saves():  # last, so that a run that is resumed here has nothing to make up for
                self._checkpoint()
            if self._ends():
                break

    def _checks(self) -> Any:
        """Pyro's and PyTorch's checks of values: as they are in a run's first step, off after it."""
        if self._warm:
            return pyro.validation_enabled(False)
        # A check that fails in the very first step is about the data, and PyTorch's message says so; in a
        # resumed run it is about parameters.
        return finite_parameters() if self.step > self.start else nullcontext()

    def _first(self) -> Tensor:
        """The images and the noise of the run's first step, as many as are taken at a time."""
        x = floating(next(iter(self.batches.epoch(0, 0)))).to(self.device)
        seed_noise(self.device, self.seed, parallel.rank(), 0)
        return x.chunk(self.options.accumulate)[0]

    def _begin(self, x: Tensor, progress: Progress) -> None:
        """What comes before the first step of this process."""
        said = self.update.begin(x, resumed=self.step > self.start)
        if said is not None:
            progress.write(said)

    def _ends(self) -> bool:
        """Whether the run is over, or a signal has asked for its end; all processes agree."""
        self._stopping = self._any_process(self._request.received)
        return self._stopping or self._over()

    def _over(self) -> bool:
        """Whether all steps are done, or the figures that were offered rise no more."""
        patience = self.options.patience
        exhausted = patience is not None and self.stopping.stale >= patience * len(self.batches)
        return exhausted or self.step >= self.total_steps

    def _end_of_epoch(self) -> None:
        with self.update.whole(self.evaluated) if self.callbacks else nullcontext():
            for callback in self.callbacks:
                callback(self)
        if self.options.histograms:
            with self.update.whole(self.update.loss):
                self.logger.histograms(self.step, dict(self.update.loss.named_parameters()))
        if self.options.patience is not None:
            self.stopping.share(self.device)

    def _saves(self) -> bool:
        """Whether a checkpoint is due; the last step's is saved at the end."""
        if self.step >= self.total_steps:
            return False
        if self.options.save_every:
            return self.step % self.options.save_every == 0
        if self.step % len(self.batches):
            return False
        rested = time.monotonic() - self._saved_at
        return parallel.first_says(rested > SECONDS_BETWEEN_CHECKPOINTS, self.device)

    def _log(self, measured: dict[str, Tensor], x: Tensor, clock: Clock, progress: Progress) -> None:
        self._finiteness.require(self.step)
        measured = {**measured, **getattr(self.loss, "stats", {})}
        values = {name: float(value) for name, value in measured.items()}
        self._finiteness.require_plausible(values["loss"], x[0].numel(), step=self.step)
        images = len(x) * parallel.world_size()
        rate, rate_of_cpu = clock.rates(self.step)
        rates = {
            "learning_rate": learning_rate(self.options, self.step - 1, self.total_steps),
            "images_per_second": images * rate,
            "images_per_second_of_cpu": images * rate_of_cpu,
        }
        self.logger.scalars(self.step, {f"train/{k}": v for k, v in {**values, **rates}.items()})
        shown = [key for key in ("loss", "elbo", "kl") if key in values]
        if values.get("kl") == values["loss"]:  # of a flow's density: the latent is the image with noise
            shown.remove("kl")
        progress.update(self.step, {key: values[key] for key in shown})

    def _checkpoint(self) -> None:
        self._finiteness.require(self.step)
        if not self._saving or not (self.leads or self.update.shards):
            return
        state = self.state_dict()  # gathered from all processes where parameters are sharded
        if self.leads and self.folder is not None:
            save_checkpoint(self.folder.last_checkpoint, state)
            self._saved_at = time.monotonic()

    def _schedule(self) -> None:
        for group in self.update.optimizer.param_groups:
            group["lr"] = learning_rate(self.options, self.step, self.total_steps)
        if hasattr(self.loss, "schedule"):
            self.loss.schedule(self.step)

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step >= self.total_steps

    def _logger(self) -> Any:
        if self.folder is None or not self.leads:
            return NullLogger()
        self.folder.checkpoints.mkdir(exist_ok=True)  # `resume` knows by it that none was saved, not lost
        self.folder.truncate_metrics(self.step)
        return Logger(self.folder, purge_step=self.step + 1)
