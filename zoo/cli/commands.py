"""What the commands of the command line do."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from zoo.analysis.anomaly import Report, chosen_layers, compare
from zoo.analysis.pictures import require_picture_place, save_grid
from zoo.analysis.sampling import sample
from zoo.data import ImageData
from zoo.errors import DataError, Interrupted, UsageError
from zoo.experiments import Experiment, find
from zoo.runs import finetuning, run
from zoo.runs.figures import require_figures_place, write_json
from zoo.runs.images import held_out, images_against, images_of, require_images
from zoo.runs.monitor import side_by_side
from zoo.runs.preparation import prepare
from zoo.runs.report import advancing, errors, table
from zoo.runs.system import System, configured, load_run
from zoo.settings import assignment
from zoo.training import parallel
from zoo.training.checkpoint import has_checkpoint, save_checkpoint
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
    return _train(experiment.override(_overrides(options)), out, folder, options)


def finetune(options: argparse.Namespace) -> int:
    """Go on with a run without free bits in a folder of its own; evaluate and picture it as `train` does."""
    source = RunFolder.open(options.run)
    out = Path(options.out or f"{source.path if source.path.name else source.path.absolute()}-finetuned")
    folder = RunFolder.open(out) if options.resume else None
    if folder is None:
        experiment = finetuning.finetuned(source, _overrides(options))
    else:
        finetuning.require_finetuning_of(folder, source)
        experiment = configured(folder)[0].override(finetuning.limited(_overrides(options)))
    _take_settings(folder or source, options)
    begun = folder is not None and has_checkpoint(folder.checkpoints)
    start = None if begun else finetuning.start(source)
    return _train(experiment, out, folder, options, start=start, **finetuning.origin(source))


def _train(
    experiment: Experiment,
    out: Path,
    folder: RunFolder | None,
    options: argparse.Namespace,
    *,
    start: dict[str, Any] | None = None,
    **origin: Any,
) -> int:
    """Train into a new folder at `out`, or go on in `folder`; evaluate and picture what comes of it.

    Args:
        experiment: with all its options.
        out: the run's place.
        folder: the run that goes on, if one does.
        options: of the command line.
        start: the state to begin with in place of fresh parameters.
        origin: what the configuration says of it.
    """
    options.seed = options.seed or 0
    _require_counts(options)
    device = parallel.local_device(_device(options.device))
    data = images_of(experiment, data_root=options.data_root, download=options.download)
    require_images(data, "test", options.images)
    settings = {"seed": options.seed, "data_root": options.data_root, **origin}
    config = run.configuration(experiment, data, **settings)
    if folder is not None:
        run.require_same(folder.config, config, out)
    with parallel.process_group(device):
        system, batches = prepare(experiment, data, seed=options.seed, device=device)
        leads = parallel.rank() == 0
        if start is not None:
            finetuning.require_fit(start, system)
        if folder is None:
            folder = parallel.leading(lambda: RunFolder.create(out, config))
        if start is not None:
            folder = parallel.leading(lambda: _begun(out, start)) or RunFolder.open(out)
        try:
            resume = options.resume or start is not None
            result = run.train(system, batches, data, folder, seed=options.seed, device=device, resume=resume)
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
    figures = _figures(system, data, options)
    if options.json:
        write_json(options.json, figures)
    return 0


def anomaly(options: argparse.Namespace) -> int:
    """Print how well a run tells the images of another set from its own, and picture the scores."""
    _require_counts(options)
    require_figures_place(options.json)
    folder = RunFolder.open(options.run)
    system = load_run(folder, device=_device(options.device))
    own = _images(system, folder, options)
    root = options.data_root or folder.config.get("data_root")
    other = images_against(system, own, options.against, data_root=root, download=options.download)
    report = _scores(system, own, other, options)
    print(report.table())
    if options.json:
        write_json(options.json, report.summary())
    print(f"picture            {run.save_scores(report, folder)}")
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
    x = held_out(system.experiment, data, system, "test")[: options.n].to(options.device)
    pairs = side_by_side(system.model, system.guide, x, system.encoding.decode)
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
    figures = _figures(system, data, options)
    test = held_out(system.experiment, data, system, "test").to(options.device)
    pictures = run.save_pictures(system, test, folder)
    run.log_test(system, folder, figures, result.step)
    print(f"run                {folder.path}")
    for picture in pictures:
        print(f"picture            {picture}")
    print(f"curves             tensorboard --logdir {folder.tensorboard}")
    return 0


def _scores(system: System, own: ImageData, other: ImageData, options: argparse.Namespace) -> Report:
    """The scores of the test images of both sets."""
    for data in (own, other):
        require_images(data, "test", options.images)
    normal, anomalous = (
        held_out(system.experiment, data, system, "test")[: options.images].to(options.device)
        for data in (own, other)
    )
    pair = system.model, system.guide
    layers = chosen_layers(*pair, normal, options.above)
    with Progress(len(layers) * (len(normal) + len(anomalous)), unit="image") as bar:
        return compare(
            *(*pair, normal, anomalous, layers),
            names=(own.name, other.name),
            samples=options.samples,
            chunk=options.chunk,
            seed=options.seed,
            progress=advancing(bar),
        )


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    """What --set and its short forms set."""
    values: dict[str, Any] = dict(assignment(text) for text in options.set)
    short = {name: getattr(options, name, None) for name in ("epochs", "steps", "batch_size")}
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
    _take_settings(folder, options)
    return began


def _take_settings(folder: RunFolder, options: argparse.Namespace) -> None:
    """Of the seed and the place of the data those that the run has, where none are given."""
    if options.seed is None:
        options.seed = folder.config.get("seed")
    if options.data_root is None:
        options.data_root = folder.config.get("data_root")


def _begun(out: Path, start: dict[str, Any]) -> RunFolder:
    """The run at `out` with a state to go on from."""
    folder = RunFolder.open(out)
    save_checkpoint(folder.last_checkpoint, start)
    return folder


def _resuming(arguments: Sequence[str]) -> str:
    return shlex.join(arguments if "--resume" in arguments else [*arguments, "--resume"])


def _images(system: System, folder: RunFolder, options: argparse.Namespace) -> ImageData:
    """The images of a run.

    Raises:
        DataError: if they are not of the shape that it was trained on.
    """
    root = options.data_root or folder.config.get("data_root")
    data = images_of(system.experiment, data_root=root, download=options.download)
    if data.image_shape != system.image_shape:
        raise DataError(
            f"expected images of shape {system.image_shape}, on which {folder.path} was trained; got "
            f"{data.image_shape} from {system.experiment.data.data}"
        )
    return data


def _figures(system: System, data: ImageData, options: argparse.Namespace) -> dict[str, Any]:
    """Print the figures of a system and return them."""
    chosen: dict[str, Any] = {
        "images": options.images,
        "split": getattr(options, "split", "test"),
        "seed": options.seed,
        "device": options.device,
    }
    chunk = getattr(options, "chunk", None)
    likelihood = run.evaluate_run(system, data, samples=options.samples, chunk=chunk, **chosen)
    print(table(likelihood))
    classified = run.classify_run(system, data, **chosen)
    if classified is None:
        return likelihood.summary()
    print(errors(classified))
    return {**likelihood.summary(), **classified.summary()}


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
