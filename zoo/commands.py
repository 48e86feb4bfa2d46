"""What the commands of the command line do."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from zoo import run
from zoo.data import ImageData
from zoo.errors import DataError, Interrupted, UsageError
from zoo.evaluation import table
from zoo.experiments import Experiment, find
from zoo.figures import require_figures_place, write_json
from zoo.importance import LogLikelihood
from zoo.options.typed import assignment
from zoo.pictures import require_picture_place, save_grid
from zoo.sampling import sample
from zoo.system import System, configured, load_run
from zoo.training import parallel
from zoo.training.progress import Progress
from zoo.training.run_folder import RunFolder
from zoo.training.trainer import Fit


def train(options: argparse.Namespace) -> int:
    """Train, evaluate and picture an experiment; returns the exit code."""
    experiment = find(options.experiment)
    out = Path(options.out or f"runs/{experiment.name}")
    folder = RunFolder.open(out) if options.resume else None
    if folder is not None:
        experiment = _as_it_began(experiment, folder, options)
    experiment = experiment.override(_overrides(options))
    options.seed = options.seed or 0
    _require_counts(options)
    device = parallel.local_device(_device(options.device))
    data = run.images_of(experiment, data_root=options.data_root, download=options.download)
    run.require_images(data, "test", options.images)
    config = run.configuration(experiment, data, seed=options.seed, data_root=options.data_root)
    if folder is not None:
        run.require_same(folder.config, config, out)
    with parallel.process_group(device):
        system, batches = run.prepare(experiment, data, seed=options.seed, device=device)
        leads = parallel.rank() == 0
        if folder is None:
            folder = parallel.leading(lambda: RunFolder.create(out, config))
        try:
            result = run.train(
                system, batches, data, folder, seed=options.seed, device=device, resume=options.resume
            )
        except Interrupted as end:
            raise Interrupted(f"{end}; go on with: zoo {_resuming(options.arguments)}") from None
    return _report(system, data, RunFolder.open(out), result, options) if leads else 0


def evaluate(options: argparse.Namespace) -> int:
    """Print a run's figures, and write them as JSON where asked to."""
    _require_counts(options)
    require_figures_place(options.json)
    folder = RunFolder.open(options.run)
    system = load_run(folder, device=_device(options.device))
    data = _images(system, folder, options)
    result = _log_likelihood(system, data, options)
    print(table(result))
    if options.json:
        write_json(options.json, result.summary())
    return 0


def sample_run(options: argparse.Namespace) -> int:
    """Write a picture of samples."""
    require_picture_place(options.out)
    system = load_run(RunFolder.open(options.run), device=_device(options.device))
    torch.manual_seed(options.seed)
    with Progress(100, unit="%") as bar:
        x = sample(
            system.model,
            options.n,
            temperature=options.temperature,
            mean=True,
            progress=lambda share: bar.update(int(100 * share)),
        )
    print(f"wrote {save_grid(system.encoding.decode(x), options.out)}")
    return 0


def reconstruct_run(options: argparse.Namespace) -> int:
    """Write a picture of test images and their reconstructions, in turn."""
    require_picture_place(options.out)
    if options.n < 1:
        raise UsageError(f"expected -n >= 1; got {options.n}")
    folder = RunFolder.open(options.run)
    system = load_run(folder, device=_device(options.device))
    data = _images(system, folder, options)
    torch.manual_seed(options.seed)
    x = run.held_out(system.experiment, data, system, "test")[: options.n].to(options.device)
    pairs = run.side_by_side(system.model, system.guide, x, system.encoding.decode)
    print(f"wrote {save_grid(pairs, options.out, columns=8)}")
    return 0


def _report(
    system: System, data: ImageData, folder: RunFolder, result: Fit, options: argparse.Namespace
) -> int:
    """Evaluate what was trained, write its pictures and say where everything is."""
    print(
        f"{system.experiment.name}: {system.parameter_count():,} parameters, {result.step} steps, "
        f"{result.seconds:.0f} s on {options.device}, seed {options.seed}"
    )
    system.to(options.device)
    likelihood = _log_likelihood(system, data, options)
    print(table(likelihood))
    test = run.held_out(system.experiment, data, system, "test").to(options.device)
    pictures = run.save_pictures(system, test, folder)
    run.log_test(system, folder, likelihood, result.step)
    print(f"run                {folder.path}")
    for picture in pictures:
        print(f"picture            {picture}")
    print(f"curves             tensorboard --logdir {folder.tensorboard}")
    return 0


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    """What --set and its short forms set."""
    values: dict[str, Any] = dict(assignment(text) for text in options.set)
    short = {"epochs": options.epochs, "steps": options.steps, "batch_size": options.batch_size}
    return values | {key: value for key, value in short.items() if value is not None}


def _as_it_began(experiment: Experiment, folder: RunFolder, options: argparse.Namespace) -> Experiment:
    """The experiment with the options that the run has; sets those of the command line that are not given.

    Raises:
        UsageError: if the run is one of another experiment.
    """
    began, _ = configured(folder)
    if began.name != experiment.name:
        raise UsageError(
            f"{folder.path} was trained otherwise: experiment was {began.name}, is {experiment.name}; train "
            "into another --out"
        )
    if options.seed is None:
        options.seed = folder.config.get("seed")
    if options.data_root is None:
        options.data_root = folder.config.get("data_root")
    return began


def _resuming(arguments: Sequence[str]) -> str:
    return shlex.join(arguments if "--resume" in arguments else [*arguments, "--resume"])


def _images(system: System, folder: RunFolder, options: argparse.Namespace) -> ImageData:
    """The images of a run.

    Raises:
        DataError: if they are not of the shape that it was trained on.
    """
    root = options.data_root or folder.config.get("data_root")
    data = run.images_of(system.experiment, data_root=root, download=options.download)
    if data.image_shape != system.image_shape:
        raise DataError(
            f"expected images of shape {system.image_shape}, on which {folder.path} was trained; got "
            f"{data.image_shape} from {system.experiment.data.data}"
        )
    return data


def _log_likelihood(system: System, data: ImageData, options: argparse.Namespace) -> LogLikelihood:
    return run.evaluate_run(
        system,
        data,
        samples=options.samples,
        images=options.images,
        split=getattr(options, "split", "test"),
        chunk=getattr(options, "chunk", None),
        seed=options.seed,
        device=options.device,
    )


def _require_counts(options: argparse.Namespace) -> None:
    for name in ("samples", "images", "chunk"):
        value = getattr(options, name, None)
        if value is not None and value < 1:
            raise UsageError(f"expected --{name} >= 1; got {value}")


def _device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        UsageError: if there is none.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        known = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        raise UsageError(f"no device {name!r} on this machine; there is {known}") from error
    return device
