"""The sizes of the semi-supervised models, and how they learn from few labels."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zoo.options.hierarchy import BIVAOptions
from zoo.options.likelihood import LikelihoodOptions
from zoo.options.objective import ELBOOptions
from zoo.settings import require


@dataclass(frozen=True)
class SemiSupervisedOptions(ELBOOptions):
    """Labels for some of the training images; all of these are unlabelled ones as well.

    Attributes:
        labels: how many labelled images, as many of each class.
        labels_seed: by which they are drawn.
        labelled_batch: of them a step.
        alpha: factor of the classifier's cross-entropy, see `zoo.SemiSupervised`.
        weight: factor of the labelled images' bound.
    """

    labels: int = 100
    labels_seed: int = 0
    labelled_batch: int = 100
    alpha: float = 1.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        super().__post_init__()
        for name in ("labels", "labelled_batch"):
            require(getattr(self, name) >= 1, f"{name} >= 1", getattr(self, name))
        for name in ("alpha", "weight"):
            require(getattr(self, name) >= 0, f"{name} >= 0", getattr(self, name))

    def build(self, **labelled: Any) -> Any:
        """The objective; given ``labelled`` and ``encoding``, with labels to learn from."""
        from zoo.infer.semi_supervised import SemiSupervised

        return SemiSupervised(
            alpha=self.alpha,
            weight=self.weight,
            batch_size=self.labelled_batch,
            **self.bound(),
            **labelled,
        )


@dataclass(frozen=True)
class DenseOptions:
    """What M2 and its kin have in common.

    Attributes:
        latent: size of z.
        hidden: widths of every network.
        channels: of the blocks of a convolutional encoder in the guide; 0 for a dense one.
        strides: of these blocks, from the image up.
        classes: that images can be of.
        likelihood_options: see `LikelihoodOptions`.
    """

    latent: int = 32
    hidden: tuple[int, ...] = (256, 256)
    channels: int = 0
    strides: tuple[int, ...] = (2, 1, 2)
    classes: int = 10
    likelihood_options: LikelihoodOptions = field(default_factory=LikelihoodOptions)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        require(self.latent >= 1, "latent >= 1", self.latent)
        require(min(self.hidden, default=0) >= 1, "hidden >= 1", self.hidden)
        require(self.channels >= 0, "channels >= 0", self.channels)
        require(min(self.strides, default=0) >= 1, "strides >= 1", self.strides)
        require(self.classes >= 2, "classes >= 2", self.classes)

    @property
    def takes(self) -> str:
        """The encoding of the images: the likelihood's."""
        return self.likelihood_options.takes

    def sizes(self, image_shape: tuple[int, int, int]) -> dict[str, Any]:
        """What every builder takes."""
        return {
            "hidden": self.hidden,
            "encoder": self.encoder(image_shape),
            "classes": self.classes,
            "likelihood": self.likelihood_options.build(),
        }

    def encoder(self, image_shape: tuple[int, int, int]) -> Any:
        """The network from the image to a vector of features."""
        from zoo.nn.convolutional import ConvEncoder
        from zoo.nn.dense import dense
        from zoo.nn.layers import Shaped

        if not self.channels:
            return dense(image_shape, self.hidden)
        maps = ConvEncoder(image_shape, channels=self.channels, strides=self.strides)
        features = dense(maps.out_shape, self.hidden[-1:])
        return Shaped(features.out_shape, maps, features)


@dataclass(frozen=True)
class M2Options(DenseOptions):
    """M2 (arXiv:1406.5298)."""

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        from zoo.models.m2 import m2

        return m2(image_shape, latent=self.latent, **self.sizes(image_shape))


@dataclass(frozen=True)
class M1Options(DenseOptions):
    """M1, a VAE of dense networks, to put under M2 (arXiv:1406.5298); labels play no part."""

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        from zoo.infer.guides import AmortizedGuide
        from zoo.models.vae import VAE
        from zoo.nn.dense import dense
        from zoo.parts.posteriors import NormalHead
        from zoo.parts.priors import StandardNormal

        decoder = dense((self.latent,), self.hidden)
        likelihood = self.likelihood_options.build()(decoder, image_shape)
        posterior = NormalHead(self.encoder(image_shape), self.latent)
        return VAE(StandardNormal(self.latent), likelihood), AmortizedGuide(posterior)


@dataclass(frozen=True)
class M1M2Options(DenseOptions):
    """M1+M2 stacked (arXiv:1406.5298).

    Attributes:
        latent: size of z_1.
        second: size of z_2.
        m1: run of an M1 of the same sizes, which is put under M2 and trained no further; none: M1+M2 is
            trained whole.
    """

    second: int = 32
    m1: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        super().__post_init__()
        require(self.second >= 1, "second >= 1", self.second)

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        from zoo.models.m2 import m1_m2

        return m1_m2(image_shape, latents=(self.latent, self.second), **self.sizes(image_shape))

    def begin(self, model: Any, guide: Any, load: Callable[[str], Any]) -> None:
        """Put the M1 of the run `m1` under a model that is to be trained.

        Args:
            model: M1+M2.
            guide: its guide.
            load: the path of a run to its system.

        Raises:
            UsageError: if there is no such run, or it is no M1 of these sizes.
        """
        from zoo.errors import UsageError
        from zoo.models.m2 import put_under

        if self.m1 is None:
            return
        below = load(self.m1)
        try:
            put_under(model, guide, below.model.likelihood, below.guide.head)
        except (RuntimeError, AttributeError) as error:
            raise UsageError(
                f"expected {self.m1} to be the run of an M1 with latent={self.latent}, hidden={self.hidden}, "
                f"channels={self.channels} as this M1+M2 has; got one of {below.experiment.name}"
            ) from error


@dataclass(frozen=True)
class ADGMOptions(DenseOptions):
    """ADGM (arXiv:1602.05473).

    Attributes:
        auxiliary: size of a.
    """

    auxiliary: int = 32

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        super().__post_init__()
        require(self.auxiliary >= 1, "auxiliary >= 1", self.auxiliary)

    def build(self, image_shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Model and guide."""
        return self._builder()(
            image_shape, latent=self.latent, auxiliary=self.auxiliary, **self.sizes(image_shape)
        )

    def _builder(self) -> Callable[..., Any]:
        from zoo.models.auxiliary import adgm

        return adgm


@dataclass(frozen=True)
class SDGMOptions(ADGMOptions):
    """SDGM (arXiv:1602.05473)."""

    def _builder(self) -> Callable[..., Any]:
        from zoo.models.auxiliary import sdgm

        return sdgm


@dataclass(frozen=True)
class SemiSupervisedBIVAOptions(BIVAOptions):
    """BIVA with a label; see `zoo.models.semi_supervised_biva`.

    Attributes:
        classes: that images can be of.
    """

    classes: int = 10

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: naming the option.
        """
        super().__post_init__()
        require(self.classes >= 2, "classes >= 2", self.classes)

    def builder(self) -> Callable[..., tuple[Any, Any]]:
        """`zoo.models.semi_supervised_biva.semi_supervised_biva`."""
        from functools import partial

        from zoo.models.semi_supervised_biva import semi_supervised_biva

        return partial(semi_supervised_biva, classes=self.classes)
