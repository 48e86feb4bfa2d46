"""A system: a model, its guide and the objective that trains them, built by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from zoo.analysis.latents import decode, encode, interpolate, resample
from zoo.analysis.sampling import reconstruct, sample
from zoo.data import Binary, Grid, Unit
from zoo.errors import UsageError
from zoo.experiments import Experiment, find

ENCODINGS: dict[str, Any] = {"binary": Binary, "grid": Grid, "unit": Unit}  # by what a model takes


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
        self.model, self.guide = experiment.system(image_shape)
        self.objective = experiment.objective()

    def loss(self) -> nn.Module:
        """The objective applied to this pair."""
        return self.objective(self.model, self.guide)

    @property
    def encoding(self) -> Any:
        """How uint8 images become what the model takes (`zoo.data`)."""
        return ENCODINGS[self.model.takes]()

    @property
    def levels(self) -> int | None:
        """Grey levels of the sub-pixels that the model is a density of, where they are not binary."""
        owner = self.model if hasattr(self.model, "levels") else getattr(self.model, "likelihood", None)
        return getattr(owner, "levels", None)

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
        overrides: options by name, ``latents=(8, 4), filters=12``; a part is a name or a class of the zoo,
            ``prior="VampPrior"`` or ``prior=zoo.VampPrior``.

    Raises:
        UsageError: for an unknown name or option, or a value out of range.
    """
    experiment = find(name).override(overrides)
    return System(experiment, checked_shape(image_shape or experiment.image_shape))


def checked_shape(image_shape: Any) -> tuple[int, int, int]:
    """An image shape (C, H, W) of positive integers.

    Raises:
        UsageError: for anything else.
    """
    shape = tuple(image_shape) if isinstance(image_shape, Sequence) else (image_shape,)
    if len(shape) != 3 or any(not isinstance(side, int) or side < 1 for side in shape):
        raise UsageError(f"expected image_shape (C, H, W), three positive integers; got {shape}")
    return shape
