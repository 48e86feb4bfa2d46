"""Training an experiment into a run folder, and what can be done with the run afterwards."""

import platform
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor

from zoo.anomaly import Report
from zoo.data import Batches, ImageData, load_data
from zoo.data.labelled import labelled_subset
from zoo.errors import DataError, UsageError
from zoo.evaluation import evaluate
from zoo.experiments import Experiment
from zoo.importance import LogLikelihood
from zoo.initialisation import initialise
from zoo.monitor import CHARTS, MONITORED, Monitor, save_kl_chart, side_by_side
from zoo.options.data import DataOptions
from zoo.options.semi_supervised import SemiSupervisedOptions
from zoo.pictures import save_grid
from zoo.sampling import sample
from zoo.seeds import mixed_seed, seeded_generator
from zoo.semi_supervised import Classification, classification
from zoo.system import System
from zoo.training import parallel
from zoo.training.fit import fit
from zoo.training.logger import Logger
from zoo.training.run_folder import RunFolder
from zoo.training.trainer import Fit, Trainer

MAY_CHANGE = ("epochs", "steps", "log_every", "save_every", "histograms")  # when a run goes on
INITIALISING = 50  # training images that initialise weight-normalised layers


def images_of(experiment: Experiment, *, data_root: str | Path | None, download: bool = False) -> ImageData:
    """The experiment's images; drawn once and for all where they are binarised statically.

    Raises:
        DataError: if they are missing or unreadable.
        UsageError: if they are not what the model is for.
    """
    options = experiment.data
    data = load_data(options.data, data_root=data_root, download=download, validation=options.validation)
    data = _binarised(data, options)
    _require_fitting_images(experiment, data)
    return data


def images_against(
    system: System, own: ImageData, name: str, *, data_root: str | Path | None, download: bool = False
) -> ImageData:
    """The images of another set, binarised as the system's own are.

    Raises:
        DataError: if they are missing or unreadable, or of another shape or number of levels.
    """
    options = system.experiment.data
    data = _binarised(load_data(name, data_root=data_root, download=download, validation=0), options)
    levels = {d.levels if options.binarize == "none" else 2 for d in (own, data)}
    if data.image_shape != own.image_shape or len(levels) > 1:
        raise DataError(
            f"expected images of shape {own.image_shape} and {own.levels} levels, as {own.name} has; got "
            f"{data.image_shape} and {data.levels} from {name}"
        )
    return data


def _binarised(data: ImageData, options: DataOptions) -> ImageData:
    """As `options` has it; what is drawn anew at every look is left."""
    if options.binarize == "static":
        return data.binarized(options.binarize_seed)
    return data.thresholded() if options.binarize == "threshold" else data


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
    if experiment.training.choose == "best" and not len(data.validation):
        raise UsageError(
            f"choose=best takes the epoch with the best validation ELBO, and {data.name} has no validation "
            "images here: add --set validation=N, or --set choose=last"
        )
    torch.manual_seed(seed)
    system = System(experiment, data.image_shape)
    if begin := getattr(experiment.system, "begin", None):
        begin(system.model, system.guide)
    give_labels(system, data)
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


def give_labels(system: System, data: ImageData) -> None:
    """Give a semi-supervised system the labelled images to learn from; others need none.

    Raises:
        DataError: if the images have not the labels that the experiment asks for.
    """
    options = system.experiment.objective
    if isinstance(options, SemiSupervisedOptions):
        classes = system.experiment.system.classes
        chosen = labelled_subset(data, options.labels, classes=classes, seed=options.labels_seed)
        y = torch.eye(classes)[chosen.labels]
        encoding = partial(system.encoding, levels=data.levels)
        system.objective = options.build(labelled=(chosen.images, y), encoding=encoding)


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
    monitor = Monitor(system, validation, experiment.training.epochs)
    if folder is not None and parallel.rank() == 0 and not folder.tensorboard.exists():
        with Logger(folder) as logger:
            logger.charts(CHARTS)
    if folder is None or not folder.last_checkpoint.exists():
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
        callbacks=[monitor, *_classifying(system, validation, data)],
        options=experiment.training,
    )
    system.model, system.guide = result.average.model, result.average.guide
    return result


def initialise_by_data(
    system: System, data: ImageData, *, seed: int = 0, device: str | torch.device = "cpu"
) -> None:
    """Initialise a system's weight-normalised layers, if it has any, on training images (`zoo.initialise`).

    Raises:
        UsageError: if there are too few images.
    """
    generator = seeded_generator("initialisation", seed)
    chosen = torch.randperm(len(data.train), generator=generator)[:INITIALISING]
    x = system.encoding(data.train[chosen], data.levels, generator).to(device)
    torch.manual_seed(mixed_seed("initialisation", seed))
    try:
        initialise(system.model.to(device), system.guide.to(device), x)
    except ValueError as error:
        raise UsageError(str(error)) from error


class ErrorRate:
    """At the end of an epoch: the share of validation images that are classified wrongly."""

    def __init__(self, validation: Tensor, labels: Tensor) -> None:
        self.validation, self.labels = validation[:MONITORED], labels[:MONITORED]

    def __call__(self, trainer: Trainer) -> None:
        """Log the error of the averaged parameters."""
        loss, x = trainer.evaluated, self.validation.to(trainer.device)
        found = classification(loss.model, loss.guide, x, self.labels, samples=1)
        trainer.logger.scalars(trainer.step, {"validation/error_rate": found.error_rate})


def _classifying(system: System, validation: Tensor, data: ImageData) -> list[ErrorRate]:
    labels = data.validation_labels
    if not classifies(system) or labels is None or not len(labels):
        return []
    return [ErrorRate(validation, labels)]


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


def classifies(system: System) -> bool:
    """Whether a system's guide has a posterior of labels."""
    return isinstance(system.experiment.objective, SemiSupervisedOptions)


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
