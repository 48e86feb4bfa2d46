"""A system: a model, its guide and the objective that trains them, built by name or loaded from a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from zoo.analysis.latents import decode, encode, interpolate, resample
from zoo.analysis.sampling import reconstruct, sample
from zoo.errors import CheckpointError, UsageError
from zoo.experiments import Experiment, find


class System(nn.Module):
    """A pair of Pyro programs and their objective.

    Attributes:
        model: ``model(x)`` observes images (B, C, H, W), ``model(n=N)`` samples.
        guide: ``guide(x)`` samples the latents.
        objective: called with model and guide, returns the loss.
        image_shape: (C, H, W).
        experiment: what it was built from.
    """

    def __init__(self, experiment: Experiment, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.experiment, self.image_shape = experiment, image_shape
        self.model, self.guide = experiment.system.build(image_shape)
        self.objective = experiment.objective.build()

    def loss(self) -> nn.Module:
        """The objective applied to this pair."""
        return self.objective(self.model, self.guide)

    @property
    def encoding(self) -> Any:
        """How uint8 images become what the model takes (`zoo.data`)."""
        from zoo.data import Binary, Grid, Unit

        return {"binary": Binary, "grid": Grid, "unit": Unit}[self.experiment.system.takes]()

    def sample(self, n: int, **options: Any) -> Tensor:
        """N images from the model, (n, C, H, W); see `zoo.sample`."""
        return sample(self.model, n, **options)

    def reconstruct(self, x: Tensor) -> Tensor:
        """E[x | z] with z ~ q(z | x); see `zoo.reconstruct`."""
        return reconstruct(self.model, self.guide, x)

    def encode(self, x: Tensor, **options: Any) -> dict[str, Tensor]:
        """Every latent of the images x, {site: (B, ...)}; see `zoo.encode`."""
        return encode(self.model, self.guide, x, **options)

    def decode(self, latents: Mapping[str, Tensor], **options: Any) -> Tensor:
        """E[x | z], latents that are not given being drawn from the prior; see `zoo.decode`."""
        return decode(self.model, latents, **options)

    def resample(self, x: Tensor, *, below: int, **options: Any) -> Tensor:
        """E[x | z] with the layers up to k = `below` drawn from the prior; see `zoo.resample`."""
        return resample(self.model, self.guide, x, below=below, **options)

    def interpolate(self, a: Tensor, b: Tensor, **options: Any) -> Tensor:
        """Images on the way from a to b through the latents, (steps, B, C, H, W); see `zoo.interpolate`."""
        return interpolate(self.model, self.guide, a, b, **options)

    def parameter_count(self) -> int:
        """Numbers that are trained; shared ones count once."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def build(name: str, image_shape: Any = None, **overrides: Any) -> System:
    """The system of an experiment, with fresh parameters.

    Args:
        name: of the experiment, ``biva_digits``; `zoo list` has them all.
        image_shape: (C, H, W); the experiment's own by default.
        overrides: options by name, ``latents=(8, 4), filters=12``.

    Raises:
        UsageError: for an unknown name or option, or a value out of range.
    """
    experiment = find(name).override(overrides)
    return System(experiment, checked_shape(image_shape or experiment.image_shape))


def load(run: str | Path, *, device: Any = "cpu") -> System:
    """The system of a run folder with its trained parameters, averaged ones where the run kept them.

    Those of its last checkpoint, or of the best epoch so far, where the run was trained with choose="best".

    Raises:
        UsageError: if there is no such run.
        CheckpointError: if it has no checkpoint or a damaged one.
    """
    from zoo.training.run_folder import RunFolder

    return load_run(RunFolder.open(run), device=device)


def load_run(folder: Any, *, device: Any = "cpu") -> System:
    """`load` for a run folder that is open already."""
    from zoo.training.checkpoint import BEST, load_latest
    from zoo.training.state import matching_checkpoint

    system = System(*configured(folder))
    state = load_latest(folder.checkpoints)
    if state.get("best") is not None:
        state = load_latest(folder.checkpoints, name=BEST)
    with matching_checkpoint():
        system.loss().load_state_dict(_evaluated(state))
    return system.to(device)


def configured(folder: Any) -> tuple[Experiment, tuple[int, int, int]]:
    """The experiment of a run folder, with its options, and the images' shape.

    Raises:
        CheckpointError: if the configuration is not that of a run.
    """
    config = folder.config
    try:
        experiment = find(config["experiment"]).override(config["options"])
        return experiment, checked_shape(config["image_shape"])
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise CheckpointError(
            f"{folder.path}/config.json is not the configuration of a run: {reason}; restore the file, or "
            "train into another folder"
        ) from error


def checked_shape(image_shape: Any) -> tuple[int, int, int]:
    """An image shape (C, H, W) of positive integers.

    Raises:
        UsageError: for anything else.
    """
    shape = tuple(image_shape)
    if len(shape) != 3 or any(not isinstance(side, int) or side < 1 for side in shape):
        raise UsageError(f"expected image_shape (C, H, W), three positive integers; got {shape}")
    return shape


def _evaluated(state: dict[str, Any]) -> dict[str, Any]:
    """The averaged parameters, or the last ones where no average was kept."""
    average = state["average"]
    if average is None:
        return state["loss"]
    prefix = "module."
    return {key.removeprefix(prefix): v for key, v in average.items() if key.startswith(prefix)}
