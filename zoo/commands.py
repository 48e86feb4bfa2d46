"""What the commands of the command line do."""

import argparse
from pathlib import Path
from typing import Any

import torch

from zoo import run
from zoo.data import ImageData
from zoo.errors import Interrupted, UsageError
from zoo.evaluation import table
from zoo.experiments import find
from zoo.figures import write_json
from zoo.importance import LogLikelihood
from zoo.options.typed import assignment
from zoo.pictures import save_grid
from zoo.sampling import sample
from zoo.system import System, load_run
from zoo.training import parallel
from zoo.training.run_folder import RunFolder
from zoo.training.trainer import Fit


def train(options: argparse.Namespace) -> int:
    """Train, evaluate and picture an experiment; returns the exit code."""
    experiment = find(options.experiment).override(_overrides(options))
    _require_counts(options)
    device = parallel.local_device(_device(options.device))
    data = run.images_of(experiment, data_root=options.data_root, download=options.download)
    out = Path(options.out or f"runs/{experiment.name}")
    config = run.configuration(experiment, data, seed=options.seed, data_root=options.data_root)
    with parallel.process_group(device):
        folder = _folder(out, config, resume=options.resume)
        try:
            system, result = run.train(
                experiment, data, folder, seed=options.seed, device=device, resume=options.resume
            )
        except Interrupted as end:
            raise Interrupted(f"{end}; add --resume to the same command to go on") from None
        leads = parallel.rank() == 0
    return _report(system, data, RunFolder.open(out), result, options) if leads else 0


def evaluate(options: argparse.Namespace) -> int:
    """Print a run's figures, and write them as JSON where asked to."""
    _require_counts(options)
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
    system = load_run(RunFolder.open(options.run), device=_device(options.device))
    torch.manual_seed(options.seed)
    x = sample(system.model, options.n, temperature=options.temperature, mean=True)
    print(f"wrote {save_grid(system.encoding.decode(x), options.out)}")
    return 0


def reconstruct_run(options: argparse.Namespace) -> int:
    """Write a picture of test images and their reconstructions, in turn."""
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


def _folder(out: Path, config: dict[str, Any], *, resume: bool) -> RunFolder | None:
    """The run's folder, checked to be the same run where it goes on; only the leading process makes one."""
    if not resume:
        return RunFolder.create(out, config) if parallel.rank() == 0 else None
    folder = RunFolder.open(out)
    run.require_same(folder.config, config, out)
    return folder


def _images(system: System, folder: RunFolder, options: argparse.Namespace) -> ImageData:
    root = options.data_root or folder.config.get("data_root")
    return run.images_of(system.experiment, data_root=root, download=options.download)


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
    for name in ("samples", "images"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"expected --{name} >= 1; got {value}")


def _device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        UsageError: if there is none.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        known = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        raise UsageError(f"no device {name!r} on this machine; there is {known}") from error
    return device
