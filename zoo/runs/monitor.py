"""What is watched during training, and the chart of it at the end."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.analysis.active_units import active_units
from zoo.analysis.latents import count_layers, layers, resample
from zoo.analysis.pictures import save_grid
from zoo.analysis.plots import curves
from zoo.analysis.sampling import reconstruct, sample
from zoo.infer.importance import evaluating
from zoo.runs.system import System
from zoo.training.run_folder import RunFolder
from zoo.training.state import seed_noise
from zoo.training.trainer import Trainer

PICTURES = 10  # times a run that samples go to TensorBoard
MONITORED = 1000  # validation images of the curve
PICTURED = 32  # of them in a picture
# Active units: more samples of fewer images detect a unit without information sooner (see `activity`).
UNITS_IMAGES, UNITS_SAMPLES = 100, 20

KL = "train/kl/"
CHARTS = {
    "latent variables": {
        "KL of every latent variable, nats": [f"{KL}.*"],
        "active units": ["validation/active_units/.*"],
    },
    "bound": {"ELBO, nats": ["train/elbo", "validation/elbo"]},
}


class Monitor:
    """At the end of an epoch: the validation ELBO and, a few times a run, active units and pictures.

    The noise is the same every time, so that epochs compare, and pictures do.

    Args:
        system: whose `encoding` turns what the model takes into pixels.
        validation: images as the model takes them (N, C, H, W), maybe none; the first 1,000 are looked at.
        labels: of these images, if there are any.
        epochs: of the run.
    """

    def __init__(self, system: System, validation: Tensor, labels: Tensor | None, epochs: int) -> None:
        self.decode, self.objective = system.encoding.decode, system.objective
        self.validation = validation[:MONITORED]
        self.labels = None if labels is None else labels[:MONITORED]
        self.every = max(1, epochs // PICTURES)

    def __call__(self, trainer: Trainer) -> None:
        """Log what the averaged parameters do, and offer them as the run's best."""
        loss, x = trainer.evaluated, self.validation.to(trainer.device)
        seed_noise(trainer.device, "validation")
        figures = {}
        if len(x):
            figures["validation/elbo"] = mean_elbo(loss, x)
            metrics = self.objective.metrics(loss, x, self.labels, samples=1)
            figures |= {f"validation/{k}": v for k, v in metrics.items() if not k.endswith("_stderr")}
        if pictured := trainer.step // len(trainer.batches) % self.every == 0:
            figures |= units_in_use(loss.model, loss.guide, x[:UNITS_IMAGES])
        if figures:
            trainer.logger.scalars(trainer.step, figures)
        if pictured:
            trainer.logger.images(trainer.step, self.pictures(loss.model, loss.guide, x[:PICTURED]))
        if len(x):
            trainer.offer(figures["validation/elbo"])

    def pictures(self, model: Any, guide: Any, x: Tensor) -> dict[str, Tensor]:
        """Samples and, of the images x, reconstructions and what is known above each layer."""
        pictures = {"samples": self.decode(sample(model, 64, mean=True))}
        if len(x):
            pictures["reconstructions"] = side_by_side(model, guide, x, self.decode)
            for k in range(1, count_layers(model, guide, x)):
                drawn = resample(model, guide, x, below=k)
                pictures[f"resampled/below_{k}"] = in_turn(self.decode(x), self.decode(drawn))
        return pictures


def units_in_use(model: Any, guide: Any, x: Tensor) -> dict[str, float]:
    """The active units of every latent site of a layer, by tag; none with fewer than two images."""
    if len(x) < 2:
        return {}
    found = active_units(model, guide, x, samples=UNITS_SAMPLES)
    shown = layers(model, guide, x)
    return {f"validation/active_units/{site}": float(n) for site, n in found.items() if site in shown}


@torch.no_grad()
def mean_elbo(loss: Any, x: Tensor, batch_size: int = 100) -> float:
    """The ELBO, whichever bound the loss is of, in evaluation mode, mean over all images."""
    with evaluating(loss):
        return torch.cat([loss.elbo(batch) for batch in x.split(batch_size)]).mean().item()


def side_by_side(model: Any, guide: Any, x: Tensor, decode: Any) -> Tensor:
    """Images and their reconstructions in turn, for a grid with an even number of columns."""
    return in_turn(decode(x), decode(reconstruct(model, guide, x)))


def in_turn(a: Tensor, b: Tensor) -> Tensor:
    """The images of a and b (B, C, H, W) in turn, (2B, C, H, W)."""
    return torch.stack([a, b], dim=1).flatten(0, 1)


def save_kl_chart(folder: RunFolder) -> Path | None:
    """Every latent variable's KL over the steps, ``pictures/kl.png``; none of a model without latents.

    Figure 2 of BIVA (arXiv:1902.02102).
    """
    lines: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for metrics in folder.read_metrics():
        for tag, nats in metrics.items():
            if tag.startswith(KL) and nats is not None:
                steps, values = lines[tag.removeprefix(KL)]
                steps.append(metrics["step"])
                values.append(nats)
    if not lines:
        return None
    chart = curves(lines, title="KL of every latent variable, nats an image", label="step", size=(960, 480))
    return save_grid(chart[None], folder.pictures / "kl.png", scale=1, overwrite=True)
