"""What a run leaves in its folder besides checkpoints and curves."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.analysis.anomaly import Report
from zoo.analysis.pictures import save_grid
from zoo.analysis.sampling import sample
from zoo.experiments import Experiment
from zoo.runs.monitor import CHARTS, save_kl_chart, side_by_side
from zoo.runs.system import System
from zoo.seeds import mixed_seed
from zoo.training import parallel
from zoo.training.logger import Logger
from zoo.training.run_folder import RunFolder


def name_charts(folder: RunFolder) -> None:
    """Declare, once, which curves TensorBoard draws in one chart."""
    if parallel.rank() == 0 and not folder.event_files:
        with Logger(folder) as logger:
            logger.charts(CHARTS)


def final_pictures(system: System, x: Tensor) -> dict[str, Tensor]:
    """Samples and reconstructions of the images x, pixels (N, C, H, W) by name; seeded."""
    torch.manual_seed(mixed_seed("pictures"))
    pictures = {"samples": system.encoding.decode(sample(system.model, 64, mean=True))}
    pairs = side_by_side(system.model, system.guide, x[:32], system.encoding.decode)
    if not torch.equal(pairs[::2], pairs[1::2]):  # copies, where the latent is the image with noise
        pictures["reconstructions"] = pairs
    return pictures


def save_pictures(pictures: Mapping[str, Tensor], folder: RunFolder) -> list[Path]:
    """Pictures as PNG grids, and the chart of the latents' KL."""
    places = {name: folder.pictures / f"{name}.png" for name in pictures}
    saved = [save_grid(pictures[name], places[name], columns=8, overwrite=True) for name in pictures]
    kl = save_kl_chart(folder)
    return saved + ([kl] if kl else [])


def picture_scores(report: Report, path: str | Path) -> Path:
    """Histograms of the scores of anomalies as a new PNG."""
    return save_grid(report.plots(), path, columns=2, scale=1)


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


def log_test(
    experiment: Experiment,
    folder: RunFolder,
    summary: Mapping[str, Any],
    pictures: Mapping[str, Tensor],
    step: int,
) -> None:
    """The test figures and pictures beside the curves, and in TensorBoard's table of settings."""
    figures = {f"test/{k}": v for k, v in summary.items() if v is not None}
    if {"step": step, **figures} in folder.read_metrics():
        return  # a finished run was resumed
    with Logger(folder) as logger:
        logger.hparams(experiment.options(), figures)
        logger.scalars(step, figures)
        logger.images(step, {f"test/{name}": pixels for name, pixels in pictures.items()})
