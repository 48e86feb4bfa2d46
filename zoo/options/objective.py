"""Which bound is trained."""

from dataclasses import dataclass
from typing import Any

from zoo.settings import require


@dataclass(frozen=True)
class ELBOOptions:
    """The ELBO.

    Attributes:
        particles: samples of the latents an image.
        warmup: steps over which the KL's factor rises linearly to 1.
        free_bits: nats that each latent variable may cost at no charge.
        free_bits_steps: steps after which it may no longer (finetuning); none: to the end.
    """

    particles: int = 1
    warmup: int = 0
    free_bits: float = 0.0
    free_bits_steps: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        require(self.particles >= 1, "particles >= 1", self.particles)
        require(self.warmup >= 0, "warmup >= 0", self.warmup)
        require(self.free_bits >= 0, "free_bits >= 0", self.free_bits)
        steps = self.free_bits_steps
        require(steps is None or steps >= 0, "free_bits_steps >= 0", steps)

    def bound(self) -> dict[str, Any]:
        """The arguments of `zoo.ELBO`."""
        return {
            "num_particles": self.particles,
            "warmup": self.warmup,
            "free_bits": self.free_bits,
            "free_bits_steps": self.free_bits_steps,
        }

    def build(self) -> Any:
        """The objective."""
        from zoo.infer.objectives import ELBO

        return ELBO(**self.bound())


@dataclass(frozen=True)
class ObjectiveOptions(ELBOOptions):
    """The ELBO, or with ``importance_samples`` above 1 the importance-weighted bound.

    Attributes:
        importance_samples: k of the importance-weighted bound.
    """

    importance_samples: int = 1

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        super().__post_init__()
        require(self.importance_samples >= 1, "importance_samples >= 1", self.importance_samples)

    def build(self) -> Any:
        """The objective."""
        from zoo.infer.objectives import ImportanceWeighted

        if self.importance_samples > 1:
            return ImportanceWeighted(self.importance_samples)
        return super().build()
