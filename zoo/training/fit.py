"""`fit`: any Pyro model and guide, any objective, any images."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from pyro.infer.elbo import ELBOModule
from torch import Tensor, nn

from zoo.data import Batches
from zoo.errors import UsageError
from zoo.settings import override
from zoo.training import parallel
from zoo.training.options import TrainingOptions
from zoo.training.run_folder import RunFolder
from zoo.training.sources import as_batches
from zoo.training.trainer import Fit, Trainer


def fit(
    model: Callable[..., Any],
    guide: Callable[..., Any],
    objective: Callable[..., nn.Module],
    data: Tensor | Batches | Iterable[Tensor],
    *,
    device: str | torch.device = "cpu",
    seed: int = 0,
    run: RunFolder | None = None,
    resume: bool = False,
    callbacks: Iterable[Callable[["Trainer"], None]] = (),
    options: TrainingOptions | None = None,
    **changes: Any,
) -> Fit:
    """Train a model and its guide.

    Args:
        model: an nn.Module that is a Pyro program; ``model(x)`` observes images.
        guide: an nn.Module that is a Pyro program; ``guide(x)`` samples the latents.
        objective: called with model and guide, returns the loss module: `zoo.ELBO`,
            `zoo.ImportanceWeighted`, or one of Pyro's, ``Trace_ELBO()``.
        data: images as the likelihood takes them (N, ...), or `Batches`, or an iterable of batches that can
            be gone through once an epoch.
        device: ``cpu``, ``cuda``, ...; model, guide and data are moved there.
        seed: of the order of images and of all noise. Seeds PyTorch's global generator.
        run: where checkpoints, curves and pictures go; nowhere by default.
        resume: whether to resume from the run's last checkpoint, if it has one.
        callbacks: called at the end of every epoch, with the `Trainer`; in every process where there are
            several, so that they can share what is looked at.
        options: the recipe; by default `TrainingOptions`' own.
        changes: options by name, ``epochs=10, learning_rate=1e-3``.

    Raises:
        UsageError: for an unknown option or one out of range, or an objective that is none or that autograd
            cannot follow.
        DataError: if there is no batch, or one that is not finite.
        Interrupted: after SIGTERM or Ctrl-C, when the step is done and the checkpoint saved.
        NonFiniteError: if the loss or a gradient is not finite; the last checkpoint stays.
    """
    options = override(options or TrainingOptions(), changes)
    batches = as_batches(data, options.batch_size, seed)
    _require_objective(objective)
    loss = objective(model, guide).to(device)
    _require_differentiable(loss)
    trainer = Trainer(loss, batches, options, torch.device(device), seed=seed, run=run, callbacks=callbacks)
    with ExitStack() as held:
        parallel.on_rank_zero(lambda: run and held.enter_context(run.lock()))
        if resume and run is not None:
            trainer.resume(run)
        return trainer.run_to_the_end()


def _require_objective(objective: Any) -> None:
    """A loss that is made already, or an objective's name, is none."""
    if not callable(objective) or hasattr(objective, "guide"):
        what = repr(objective) if isinstance(objective, str) else type(objective).__name__
        raise UsageError(f"expected an objective, such as zoo.ELBO(), that makes the loss; got {what}")


def _require_differentiable(loss: Any) -> None:
    """Some of Pyro's objectives compute gradients, with baselines for example, but no loss for autograd."""
    pyros = loss.elbo if isinstance(loss, ELBOModule) else None
    if pyros is not None and not hasattr(pyros, "differentiable_loss"):
        raise UsageError(
            f"expected an objective with a differentiable loss; got {type(pyros).__name__}: take Trace_ELBO, "
            "or train with pyro.infer.SVI"
        )
