"""The commands of the command line: each opens a run, calls it and prints."""

import argparse
import shutil
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from zoo.analysis.anomaly import Report
from zoo.analysis.pictures import require_picture_place, save_grid
from zoo.conversion import as_text
from zoo.errors import Interrupted, UsageError, ZooError
from zoo.runs import finetuning, outputs, publishing
from zoo.runs.comparison import Comparison
from zoo.runs.comparison import compare as compare_runs
from zoo.runs.figures import lines_to, require_figures_place, write_json
from zoo.runs.images import require_images
from zoo.runs.report import Evaluation
from zoo.runs.run import Run
from zoo.training import parallel
from zoo.training.run_folder import RunFolder
from zoo.training.state import finite_parameters
from zoo.training.trainer import Fit
from zoo.training.weights import require_weights_place

INDENT = 30  # columns for an option and its value
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")


def answered(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """What a command returns; what PyTorch raises of a diverged run or of a full memory is raised as ours.

    Raises:
        NonFiniteError: of parameters that lead to values that are not finite.
        ZooError: of a memory that is full, and whatever the command raises.
        Interrupted: where another process of the same command has ended.
    """
    try:
        with finite_parameters():
            return command(options)
    except (RuntimeError, MemoryError) as error:
        if parallel.is_of_lost_process(error):
            raise Interrupted("interrupted, since another process has ended") from error
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise ZooError(
                "out of memory: take a smaller --batch-size, --chunk or -n, or a smaller model"
            ) from error
        raise


def train(options: argparse.Namespace) -> int:
    """Train, evaluate and picture an experiment; returns the exit code."""
    from zoo.experiments import find

    experiment = find(options.experiment)
    out = Path(options.out)
    settings = _settings(options)
    if options.resume:
        run = Run.open(out, changes=_changes(options), **settings)
        if run.experiment.name != experiment.name:
            raise UsageError(
                f"{out} was trained otherwise: experiment was {run.experiment.name}, is {experiment.name}; "
                "train into another --out"
            )
    else:
        run = Run.create(experiment, out, changes=_changes(options), **_without_none(settings))
    return _train(run, options)


def finetune(options: argparse.Namespace) -> int:
    """Resume a run without free bits in a folder of its own; evaluate and picture it as `train` does."""
    settings = _settings(options)
    source = Run.open(options.run, **settings)
    out = Path(options.out)
    if options.resume:
        finetuning.require_finetuning_of(RunFolder.open(out), source.folder)
        run = Run.open(out, changes=_changes(options), source=source.folder, **settings)
    else:
        run = source.finetune(out, _changes(options))
    return _train(run, options)


def evaluate(options: argparse.Namespace) -> int:
    """Print a run's figures, and write them as JSON where asked to."""
    require_figures_place(options.json)
    chosen = _of_method(options)
    run = _open(options)
    estimate = run.anneal if options.method == "ais" else run.evaluate
    with _together(run):
        found = estimate(**chosen, images=options.images, split=options.split, seed=options.seed)
        leads = parallel.rank() == 0
    if not leads:
        return 0
    _show(found, options.json, protocol=found.protocol)
    return 0


def compare(options: argparse.Namespace) -> int:
    """Print the figures of several runs on the same images, and their paired differences."""
    require_figures_place(options.json)
    chosen = _without_none({name: getattr(options, name) for name in ("samples", "chunk", "images")})
    runs = [_open(options, run) for run in options.runs]
    _show(compare_runs(runs, **chosen, split=options.split, seed=options.seed), options.json)
    return 0


def anomaly(options: argparse.Namespace) -> int:
    """Print how well a run distinguishes the images of another set from its own, and picture the scores."""
    require_figures_place(options.json)
    run = _open(options)
    place = options.picture or ("anomaly.png" if run.weights else None)
    if place is not None:
        require_picture_place(place)
    counts: Any = {name: getattr(options, name) for name in ("above", "samples", "images", "seed", "chunk")}
    report = run.anomaly(options.against, **counts)
    _show(report, options.json)
    saved = outputs.picture_scores(report, place) if place else outputs.save_scores(report, run.folder)
    print(f"picture            {saved}", file=lines_to(options.json))
    return 0


def sample_run(options: argparse.Namespace) -> int:
    """Write a picture of samples."""
    require_picture_place(options.out, images=options.n)
    pixels = _open(options).sample(options.n, temperature=options.temperature, seed=options.seed)
    print(f"wrote {save_grid(pixels, options.out)}")
    return 0


def reconstruct_run(options: argparse.Namespace) -> int:
    """Write a picture of test images and their reconstructions, in turn."""
    require_picture_place(options.out)
    pixels = _open(options).reconstruct(options.n, seed=options.seed)
    print(f"wrote {save_grid(pixels, options.out, columns=8)}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a run's weights, options and record as one file."""
    require_weights_place(options.file)
    run = Run.open(options.run)
    path = run.export(options.file, dtype=options.dtype)
    print(f"wrote {path}, {path.stat().st_size:,} bytes, {options.dtype}")
    if not run.record:
        print(f"it has no figures: zoo evaluate {path}")
    return 0


def publish(options: argparse.Namespace) -> int:
    """Write weights and their card into a folder, or push them to the hub."""
    print(f"wrote {publishing.publish(Run.open(options.run), options.to, dtype=options.dtype)}")
    return 0


def show_options(name: str) -> int:
    """Print every option of an experiment with its value, its meaning and, where they are few, its values."""
    from zoo.experiments import find

    width = max(shutil.get_terminal_size().columns, INDENT + 30)
    for key, option, value in find(name).described():
        values = option.choices()
        text = f"{option.meaning} {{{', '.join(values)}}}" if values else option.meaning
        left = f"{key}={as_text(value)}"
        lines = textwrap.wrap(text, width - INDENT, break_long_words=False, break_on_hyphens=False)
        first = lines.pop(0) if len(left) <= INDENT - 2 else ""
        print(f"{left:{INDENT}s}{first}".rstrip())
        for line in lines:
            print(f"{'':{INDENT}s}{line}")
    return 0


def _show(found: Evaluation | Comparison | Report, path: str | None, **more: Any) -> None:
    """Print figures as a table, and write them and what else there is as JSON where asked to."""
    print(found.table(), file=lines_to(path))
    if path:
        write_json(path, {**found.summary(), **more})


def _of_method(options: argparse.Namespace) -> dict[str, Any]:
    """The given options of the chosen method of evaluation.

    Raises:
        UsageError: for an option of the other method.
    """
    methods = {"importance": ("samples", "chunk"), "ais": ("chains", "steps", "leapfrog", "start")}
    for method, names in methods.items():
        for name in names:
            if method != options.method and getattr(options, name) is not None:
                raise UsageError(f"--{name} is for --method {method}; got --method {options.method}")
    return _without_none({name: getattr(options, name) for name in methods[options.method]})


@contextmanager
def _together(run: Run) -> Iterator[None]:
    """Join the processes that torchrun started; the first reads or fetches the images before the others."""
    with parallel.process_group(run.device):
        parallel.on_rank_zero(lambda: run.data)
        yield


def _train(run: Run, options: argparse.Namespace) -> int:
    with _together(run):
        if options.images is not None:  # before the hours of training
            require_images(run.data, "test", options.images)
        result = run.train()
        if run.leads:
            _report_training(run, result, options)
        found = run.evaluate(options.samples, images=options.images, seed=run.seed)
    return _report(run, result, found) if run.leads else 0


def _report_training(run: Run, result: Fit, options: argparse.Namespace) -> None:
    print(
        f"{run.experiment.name}: {run.system.parameter_count():,} parameters, {result.step} steps, "
        f"{result.seconds:.0f} s on {options.device}, seed {run.seed}"
    )


def _report(run: Run, result: Fit, found: Evaluation) -> int:
    """Print what was found, write the pictures of the run and say where everything is."""
    print(found.table())
    pictures = run.save_pictures()
    outputs.log_test(run.experiment, run.folder, found.summary(), run.pictures, result.step)
    print(f"run                {run.path}")
    for picture in pictures:
        print(f"picture            {picture}")
    print(f"curves             tensorboard --logdir {run.folder.path}")
    return 0


def _open(options: argparse.Namespace, path: str | None = None) -> Run:
    """The run, or that of another path, on the device; its data may lie elsewhere than it did."""
    return Run.open(path or options.run, **_places(options))


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {"seed": options.seed, **_places(options)}


def _places(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "device": parallel.local_device(_device(options.device)),
        "data_root": getattr(options, "data_root", None),
        "download": getattr(options, "download", False),
    }


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """What --set and its short forms set."""
    values: dict[str, Any] = dict(_assignment(text) for text in options.set)
    short = {name: getattr(options, name, None) for name in ("epochs", "steps", "batch_size")}
    changes = values | _without_none(short)
    if "epochs" in changes and changes.get("steps", "none") != "none":
        raise UsageError(
            f"expected epochs or steps; got epochs={changes['epochs']} and steps={changes['steps']}: "
            "leave one out"
        )
    return finetuning.limited(changes)


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"expected KEY=VALUE after --set; got {text!r}")
    return key.strip(), value.strip()


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
