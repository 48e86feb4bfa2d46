"""What a run's config.json holds, and what may differ in it when a run is resumed."""

import importlib.metadata
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pyro
import torch

from zoo.data import ImageData
from zoo.data.loading import resolved_name
from zoo.errors import CheckpointError, DataError, UsageError
from zoo.experiments import Experiment, find, names
from zoo.experiments.registry import VARIABLE
from zoo.runs.system import checked_shape
from zoo.training.run_folder import RunFolder
from zoo.training.weights import Weights

# When a run is resumed. A rate or a bound of gradients that diverged can be made smaller.
MAY_CHANGE = (
    *("epochs", "steps", "patience", "log_every", "save_every", "histograms"),
    *("learning_rate", "clip", "skip_above", "parallel"),
)


def configuration(experiment: Experiment, data: ImageData, **settings: Any) -> dict[str, Any]:
    """What config.json holds of a run."""
    return {
        "format": 1,
        "experiment": experiment.name,
        "image_shape": list(data.image_shape),
        "images": {"protocol": experiment.data().describe(data), "fingerprint": data.fingerprint},
        "options": experiment.options(),
        **settings,
        "begun": date.today().isoformat(),
        "versions": {
            "zoo": importlib.metadata.version("pyro-generative-zoo"),
            "torch": torch.__version__,
            "pyro": pyro.__version__,
            "python": platform.python_version(),
        },
    }


def hardware(device: torch.device) -> str:
    """What a run runs on: "Intel Xeon, one thread", or the GPU's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {'one thread' if threads == 1 else f'{threads} threads'}"


def _processor() -> str:
    name = platform.processor() or platform.machine()
    with suppress(OSError):  # Linux has a better name
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        name = found.group(1) if found else name
    return " ".join(re.sub(r"\((R|TM)\)|\bProcessor\b|\bCPU\b|@.*", "", name).split())


def configured(folder: RunFolder | Weights) -> tuple[Experiment, tuple[int, int, int]]:
    """The experiment of a run folder or of weights, with its options, and the images' shape.

    Raises:
        CheckpointError: if the configuration is not that of a run, or that of an experiment not known here.
    """
    config = folder.config
    name = config.get("experiment")
    if isinstance(name, str) and name not in names():
        raise CheckpointError(
            f"{folder.path} is of an experiment that is not known here, {name!r}: set {VARIABLE} to the file "
            "that has it"
        )
    try:
        experiment = find(config["experiment"]).override(config["options"])
        return experiment, checked_shape(config["image_shape"])
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise _damaged(folder, reason) from error


def _damaged(begun: RunFolder | Weights, reason: Any) -> CheckpointError:
    if isinstance(begun, Weights):
        return CheckpointError(
            f"{begun.path} does not hold the configuration of a run: {reason}; export it again"
        )
    return CheckpointError(
        f"{begun.path}/config.json is not the configuration of a run: {reason}; restore the file, or "
        "train into another folder"
    )


def located(experiment: Experiment) -> Experiment:
    """The experiment with a relative path of images made absolute, which means the same everywhere."""
    data = experiment.option("data")
    resolved = resolved_name(data)
    return experiment if resolved == data else experiment.override({"data": resolved})


def require_same_images(folder: RunFolder | Weights, data: ImageData, path: str) -> None:
    """Check that images that were loaded again are those that a run began with.

    Raises:
        DataError: if they are of another shape, or others.
        CheckpointError: if it is not known what images those were.
    """
    shape = configured(folder)[1]
    if data.image_shape != shape:
        raise DataError(
            f"expected images of shape {shape}, on which {folder.path} was trained; got {data.image_shape} "
            f"from {path}"
        )
    images = folder.config.get("images")
    if not isinstance(images, Mapping) or not isinstance(images.get("fingerprint"), str):
        raise _damaged(folder, "it lacks the fingerprint of its images")
    data.require_fingerprint(images["fingerprint"])


def require_same(old: Mapping[str, Any], new: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Check that a run is resumed as it began; returns the options that were changed and may be.

    Raises:
        UsageError: naming the options that differ.
    """
    # An option that came after the run was begun has its default there.
    known = find(old["experiment"]).override(old["options"]).options()
    before, now = {**old, **known}, {**new, **new["options"]}
    compared = ("experiment", "image_shape", "seed", *new["options"])
    differ = [k for k in compared if k not in MAY_CHANGE and before.get(k) != now[k]]
    if differ:
        changes = ", ".join(f"{k} was {before.get(k)}, is {now[k]}" for k in differ)
        raise UsageError(
            f"{folder} was trained otherwise: {changes}; leave that as it was, or train into another --out"
        )
    return {k: now[k] for k in new["options"] if before.get(k) != now[k]}
