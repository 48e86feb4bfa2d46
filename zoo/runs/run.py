"""Training an experiment into a run folder, and what can be done with the run afterwards."""

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor

from zoo.analysis.anomaly import Report
from zoo.analysis.pictures import save_grid
from zoo.analysis.sampling import sample
from zoo.data import Batches, ImageData
from zoo.errors import UsageError
from zoo.experiments import Experiment
from zoo.infer.importance import LogLikelihood
from zoo.infer.semi_supervised import Classification, classification
from zoo.runs.images import held_out, require_images
from zoo.runs.monitor import CHARTS, ErrorRate, Monitor, save_kl_chart, side_by_side
from zoo.runs.preparation import classifies, initialise_by_data
from zoo.runs.report import evaluate
from zoo.runs.system import System
from zoo.training import parallel
from zoo.training.checkpoint import has_checkpoint
from zoo.training.fit import fit
from zoo.training.logger import Logger
from zoo.training.run_folder import RunFolder
from zoo.training.trainer import Fit

MAY_CHANGE = ("epochs", "steps", "log_every", "save_every", "histograms")  # when a run goes on


def train(
    system: System,
    batches: Batches,
    data: ImageData,
    folder: RunFolder | None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    resume: bool = False,
) -> Fit:
    """Train a system into a folder; it then has the parameters to evaluate."""
    experiment = system.experiment
    validation = held_out(experiment, data, system, "validation")
    watching: list[Any] = [Monitor(system, validation, experiment.training.epochs)]
    if classifies(system) and data.validation_labels is not None and len(validation):
        watching.append(ErrorRate(validation, data.validation_labels))
    if folder is not None and parallel.rank() == 0 and not folder.tensorboard.exists():
        with Logger(folder) as logger:
            logger.charts(CHARTS)
    if folder is None or not has_checkpoint(folder.checkpoints):
        initialise_by_data(system, data, seed=seed, device=device)
    result = fit(
        system.model,
        system.guide,
        system.objective,
        batches,
        device=device,
        seed=seed,
        run=folder,
        resume=resume,
        callbacks=watching,
        options=experiment.training,
    )
    system.model, system.guide = result.average.model, result.average.guide
    return result


def evaluate_run(
    system: System,
    data: ImageData,
    *,
    samples: int,
    images: int | None,
    split: str = "test",
    seed: int = 0,
    chunk: int | None = None,
    device: str | torch.device = "cpu",
) -> LogLikelihood:
    """The log-likelihood of the first `images` test images (all by default).

    Raises:
        UsageError: if fewer than one image is asked for, or more than there are.
    """
    require_images(data, split, images)
    x = held_out(system.experiment, data, system, split).to(device)
    return evaluate(system.model, system.guide, x[:images], samples, seed=seed, chunk=chunk)


def classify_run(
    system: System,
    data: ImageData,
    *,
    images: int | None = None,
    split: str = "test",
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Classification | None:
    """How well a semi-supervised system classifies the first `images` test images (all by default).

    None for other systems, and where the images have no labels.
    """
    labels = getattr(data, f"{split}_labels")
    if not classifies(system) or labels is None:
        return None
    x = held_out(system.experiment, data, system, split).to(device)
    return classification(system.model, system.guide, x[:images], labels[:images], seed=seed)


def save_pictures(system: System, x: Tensor, folder: RunFolder) -> list[Path]:
    """Samples and reconstructions of the images x as PNG grids in the run's folder, and the latents' KL."""
    decode = system.encoding.decode
    samples = folder.pictures / "samples.png"
    save_grid(decode(sample(system.model, 64, mean=True)), samples, columns=8, overwrite=True)
    reconstructions = folder.pictures / "reconstructions.png"
    pairs = side_by_side(system.model, system.guide, x[:32], decode)
    save_grid(pairs, reconstructions, columns=8, overwrite=True)
    kl = save_kl_chart(folder)
    return [samples, reconstructions] + ([kl] if kl else [])


def save_scores(report: Report, folder: RunFolder) -> Path:
    """Histograms of the scores of anomalies, in TensorBoard and as a PNG in the run's folder."""
    name = re.sub(r"\W+", "_", report.names[1])
    plots = report.plots()
    step = max((metrics["step"] for metrics in folder.read_metrics()), default=0)
    with Logger(folder) as logger:
        for kind, scores in {"normal": report.normal, "anomalous": report.anomalous}.items():
            tags = {score: f"anomaly/{name}/{score.replace('>', '_above_')}/{kind}" for score in scores}
            logger.histograms(step, {tags[score]: values for score, values in scores.items()})
        logger.images(step, {f"anomaly/{name}": plots})
    picture = folder.pictures / f"anomaly_{name}.png"
    return save_grid(plots, picture, columns=2, scale=1, overwrite=True)


def log_test(system: System, folder: RunFolder, summary: Mapping[str, Any], step: int) -> None:
    """The test figures beside the curves, and in TensorBoard's table of settings."""
    figures = {f"test/{k}": v for k, v in summary.items() if v is not None}
    if {"step": step, **figures} in folder.read_metrics():
        return  # a finished run was resumed
    with Logger(folder) as logger:
        logger.hparams(system.experiment.options(), figures)
        logger.scalars(step, figures)


def configuration(experiment: Experiment, data: ImageData, **settings: Any) -> dict[str, Any]:
    """What a run's config.json holds."""
    return {
        "format": 1,
        "experiment": experiment.name,
        "image_shape": list(data.image_shape),
        "options": experiment.options(),
        **settings,
        "versions": {
            "torch": torch.__version__,
            "pyro": pyro.__version__,
            "python": platform.python_version(),
        },
    }


def require_same(old: Mapping[str, Any], new: Mapping[str, Any], folder: Path) -> None:
    """Check that a run goes on as it began.

    Raises:
        UsageError: naming the options that differ.
    """
    before, now = ({**config, **config["options"]} for config in (old, new))
    compared = ("experiment", "image_shape", "seed", *new["options"])
    differ = [k for k in compared if k not in MAY_CHANGE and before.get(k) != now[k]]
    if differ:
        changes = ", ".join(f"{k} was {before.get(k)}, is {now[k]}" for k in differ)
        raise UsageError(
            f"{folder} was trained otherwise: {changes}; leave that as it was, or train into another --out"
        )
