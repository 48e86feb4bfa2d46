"""The images of an experiment: those of its data set, as its model takes them."""

from pathlib import Path

from torch import Tensor

from zoo.data import ImageData, load_data
from zoo.errors import DataError, UsageError
from zoo.experiments import Experiment
from zoo.options.data import DataOptions
from zoo.runs.system import System


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
