"""What is watched during training, and the chart of it at the end."""

import math
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
from zoo.infer.programs import evaluating
from zoo.infer.sharing import shared
from zoo.runs.system import System
from zoo.training import parallel
from zoo.training.run_folder import RunFolder
from zoo.training.state import seed_noise
from zoo.training.trainer import Trainer

PICTURES = 5  # times a run, at most, that active units and pictures are looked at, and at its end
SHARE = 0.02  # of the work of training that may go into looking, roughly, for each of the two
PASSES = 3  # forward, that a training step's forward and backward pass of an image is worth
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
    """At the end of some epochs: the validation ELBO; of fewer, active units and pictures.

    So many epochs lie between that looking takes a small share of the training (`epochs_between`); none where
    the run goes by the ELBO. Everything is looked at in the last epoch. The noise is the same every time, so
    that epochs compare, and pictures do. Several processes share the images of the ELBO; the first does the
    rest.

    Args:
        system: whose `encoding` turns what the model takes into pixels.
        validation: images as the model takes them (N, C, H, W), maybe none; the first 1,000 are looked at.
        labels: of these images, if there are any.
        epochs: of the run.
        images: an epoch.
        decides: whether the run goes by the validation ELBO, for its best epoch or its end.
    """

    def __init__(
        self,
        system: System,
        validation: Tensor,
        labels: Tensor | None,
        *,
        epochs: int,
        images: int,
        decides: bool = False,
    ) -> None:
        self.decode, self.objective = system.encoding.decode, system.objective
        self.validation = validation[:MONITORED]
        self.labels = None if labels is None else labels[:MONITORED]
        self.validated_every = 1 if decides else epochs_between(len(self.validation), images)
        units = UNITS_SAMPLES * len(self.validation[:UNITS_IMAGES])
        self.pictured_every = max(1, epochs // PICTURES, epochs_between(units, images))

    def __call__(self, trainer: Trainer) -> None:
        """Log what the averaged parameters do, and offer them as the run's best."""
        epoch = trainer.step // len(trainer.batches)
        last = trainer.step >= trainer.total_steps
        figures = self.validated(trainer) if last or epoch % self.validated_every == 0 else {}
        if parallel.rank() == 0 and (last or epoch % self.pictured_every == 0):
            seed_noise(trainer.device, "pictures")
            pair, x = (trainer.evaluated.model, trainer.evaluated.guide), self.validation.to(trainer.device)
            figures |= units_in_use(*pair, x[:UNITS_IMAGES])
            trainer.logger.images(trainer.step, self.pictures(*pair, x[:PICTURED]))
        if figures:
            trainer.logger.scalars(trainer.step, figures)
        if "validation/elbo" in figures:
            trainer.offer(figures["validation/elbo"])

    def validated(self, trainer: Trainer) -> dict[str, float]:
        """The ELBO of the validation images and the objective's metrics, by tag; none without images.

        All processes call this and get the same.
        """
        if not len(self.validation):
            return {}
        loss, x = trainer.evaluated, self.validation.to(trainer.device)
        elbo = mean_elbo(loss, x)
        seed_noise(trainer.device, "metrics")
        metrics = parallel.from_first(lambda: self.objective.metrics(loss, x, self.labels, samples=1))
        shown = {f"validation/{k}": v for k, v in metrics.items() if not k.endswith("_stderr")}
        return {"validation/elbo": elbo, **shown}

    def pictures(self, model: Any, guide: Any, x: Tensor) -> dict[str, Tensor]:
        """Samples and, of the images x, reconstructions and what is known above each layer."""
        pictures = {"samples": self.decode(sample(model, 64, mean=True))}
        if len(x):
            pictures["reconstructions"] = side_by_side(model, guide, x, self.decode)
            for k in range(1, count_layers(model, guide, x)):
                drawn = resample(model, guide, x, below=k)
                pictures[f"resampled/below_{k}"] = in_turn(self.decode(x), self.decode(drawn))
        return pictures


def epochs_between(passes: int, images: int) -> int:
    """Epochs between two looks of so many forward passes of an image, with so many images an epoch.

    >>> epochs_between(1000, 50_000), epochs_between(100, 1397), epochs_between(2000, 1397)
    (1, 2, 24)
    """
    return max(1, math.ceil(passes / (SHARE * PASSES * images)))


def units_in_use(model: Any, guide: Any, x: Tensor) -> dict[str, float]:
    """The active units of every latent site of a layer, by tag; none with fewer than two images."""
    if len(x) < 2:
        return {}
    found = active_units(model, guide, x, samples=UNITS_SAMPLES)
    shown = layers(model, guide, x)
    return {f"validation/active_units/{site}": float(n) for site, n in found.items() if site in shown}


@torch.no_grad()
def mean_elbo(loss: Any, x: Tensor, batch_size: int = 100) -> float:
    """The ELBO, whichever bound the loss is of, in evaluation mode, mean over all images.

    Each batch has its own noise, so that processes which share the batches get what one process gets.
    """
    batches = x.split(batch_size)

    def elbo(j: int, samples: range) -> Tensor:
        seed_noise(x.device, "validation", j)
        found: Tensor = loss.elbo(batches[j]).cpu()
        return found

    with evaluating(loss):
        found = shared(elbo, [len(batch) for batch in batches], 1, distributed=True)
    return torch.cat([part for parts in found for part in parts]).mean().item()


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
