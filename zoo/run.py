"""Training an experiment into a run folder, and what can be done with the run afterwards."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor

from zoo.data import Batches, ImageData, load_data
from zoo.errors import UsageError
from zoo.evaluation import evaluate
from zoo.experiments import Experiment
from zoo.importance import LogLikelihood, evaluating
from zoo.pictures import save_grid
from zoo.sampling import reconstruct, sample
from zoo.system import System
from zoo.training import parallel
from zoo.training.fit import fit
from zoo.training.logger import Logger
from zoo.training.run_folder import RunFolder
from zoo.training.trainer import Fit, Trainer

MAY_CHANGE = ("epochs", "steps", "log_every", "save_every", "histograms")  # when a run goes on
PICTURES = 10  # times a run that samples go to TensorBoard
MONITORED = 1000  # validation images of the curve


def images_of(experiment: Experiment, *, data_root: str | Path | None, download: bool = False) -> ImageData:
    """The experiment's images; drawn once and for all where they are binarised statically.

    Raises:
        DataError: if they are missing or unreadable.
        UsageError: if they are not what the model is for.
    """
    options = experiment.data
    data = load_data(options.data, data_root=data_root, download=download, validation=options.validation)
    if options.binarize == "static":
        data = data.binarized(options.binarize_seed)
    if options.binarize == "threshold":
        data = data.thresholded()
    _require_fitting_images(experiment, data)
    return data


def held_out(experiment: Experiment, data: ImageData, system: System, split: str) -> Tensor:
    """Test or validation images as the likelihood takes them; what is drawn is drawn from a fixed seed."""
    if experiment.data.binarize == "dynamic":
        data = data.binarized(experiment.data.binarize_seed)
    return system.encoding(getattr(data, split), data.levels)


def prepare(
    experiment: Experiment, data: ImageData, *, seed: int = 0, device: str | torch.device = "cpu"
) -> tuple[System, Batches]:
    """An experiment's system with fresh parameters, and its batches.

    Raises:
        UsageError: if there cannot be one for these images; nothing has been written then.
    """
    torch.manual_seed(seed)
    system = System(experiment, data.image_shape)
    batches = Batches(
        data.train,
        min(experiment.training.batch_size, len(data.train)),
        encoding=system.encoding,
        levels=data.levels,
        seed=seed,
        rank=parallel.rank(),
        world_size=parallel.world_size(),
    ).to(device)
    return system, batches


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
    monitor = Monitor(system, held_out(experiment, data, system, "validation"), experiment)
    result = fit(
        system.model,
        system.guide,
        system.objective,
        batches,
        device=device,
        seed=seed,
        run=folder,
        resume=resume,
        callbacks=[monitor],
        options=experiment.training,
    )
    system.model, system.guide = result.average.model, result.average.guide
    return result


class Monitor:
    """At the end of an epoch: the validation ELBO and, a few times a run, samples and reconstructions."""

    def __init__(self, system: System, validation: Tensor, experiment: Experiment) -> None:
        self.system, self.validation = system, validation[:MONITORED]
        self.every = max(1, experiment.training.epochs // PICTURES)

    def __call__(self, trainer: Trainer) -> None:
        """Log what the averaged parameters do."""
        loss, epoch = trainer.evaluated, trainer.step // len(trainer.batches)
        validation = self.validation.to(trainer.device)
        if len(validation):
            elbo = -mean_loss(loss, validation)
            trainer.logger.scalars(trainer.step, {"validation/elbo": elbo})
        if epoch % self.every == 0:
            decode = self.system.encoding.decode
            pictures = {"samples": decode(sample(loss.model, 64, mean=True))}
            if len(validation):
                pictures["reconstructions"] = side_by_side(loss.model, loss.guide, validation[:32], decode)
            trainer.logger.images(trainer.step, pictures)


@torch.no_grad()
def mean_loss(loss: Any, x: Tensor, batch_size: int = 100) -> float:
    """The loss in evaluation mode, mean over all images."""
    with evaluating(loss):
        total = sum(loss(batch) * len(batch) for batch in x.split(batch_size))
    return float(total) / len(x)


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


def require_images(data: ImageData, split: str, images: int | None) -> None:
    """Check that there are as many images to evaluate as are asked for, and at least one.

    Raises:
        UsageError: if there are not.
    """
    available = len(getattr(data, split))
    if not available:
        raise UsageError(f"{data.name} has no {split} images here: take another --split")
    if images is not None and not 1 <= images <= available:
        raise UsageError(f"expected 1 to {available} images, all of the {split} set; got {images}")


def side_by_side(model: Any, guide: Any, x: Tensor, decode: Any) -> Tensor:
    """Images and their reconstructions in turn, for a grid with an even number of columns."""
    pairs = torch.stack([decode(x), decode(reconstruct(model, guide, x))], dim=1)
    return pairs.flatten(0, 1)


def save_pictures(system: System, x: Tensor, folder: RunFolder) -> list[Path]:
    """Samples and reconstructions of the images x as PNG grids in the run's folder."""
    decode = system.encoding.decode
    samples = folder.pictures / "samples.png"
    save_grid(decode(sample(system.model, 64, mean=True)), samples, columns=8, overwrite=True)
    reconstructions = folder.pictures / "reconstructions.png"
    pairs = side_by_side(system.model, system.guide, x[:32], decode)
    save_grid(pairs, reconstructions, columns=8, overwrite=True)
    return [samples, reconstructions]


def log_test(system: System, folder: RunFolder, result: LogLikelihood, step: int) -> None:
    """The test figures beside the curves, and in TensorBoard's table of settings."""
    figures = {f"test/{k}": v for k, v in result.summary().items() if v is not None}
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


def _require_fitting_images(experiment: Experiment, data: ImageData) -> None:
    binary, takes = experiment.data.binarize != "none", experiment.system.takes
    if takes == "binary":
        if not binary:
            raise UsageError(
                "a Bernoulli likelihood is for binary images: add --set likelihood=logistic_mixture"
            )
        return
    options = experiment.options()
    family = {"logistic_mixture": "logistic mixture", "categorical": "softmax"}
    model = "flow density" if takes == "unit" else family[options["likelihood"]]
    if binary:
        raise UsageError(f"a {model} is for grey levels: add --set binarize=none")
    if (levels := options["levels"]) != data.levels:
        raise UsageError(
            f"the images have {data.levels} levels, the {model} {levels}: add --set levels={data.levels}"
        )
