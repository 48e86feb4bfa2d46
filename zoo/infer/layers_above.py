"""The bound L^{>k}: how much of an image the layers above k explain (Maaløe et al. 2019, arXiv:1902.02102).

    L^{>k}(x) = E_{p(z_<=k | z_>k) q(z_>k | x)}[log p(x | z) p(z_>k) / q(z_>k | x)]

The layers up to k are drawn from the model's prior in place of the posterior. What the guide draws there on
its way up (BIVA's z_<=k^BU, on which q(z_>k | x) depends) is drawn all the same and then forgotten: it is an
auxiliary variable a of the guide, whose law r(a | x) the bound may choose, and chooses as q(a | x) itself,
so that it has no term. Hence E[w] = p(x), and L^{>k} <= log p(x) with any number of samples. Inferring z_>k
from a draw of a loosens the bound by the information that a has of z_>k given x.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from pyro.distributions.torch_distribution import TorchDistribution
from pyro.poutine.messenger import Messenger
from torch import Size, Tensor, nn

from zoo.errors import UsageError
from zoo.infer.guides import Guide, OrdinaryGuide
from zoo.infer.programs import layer_at


def above(guide: Any, k: int, mean: bool = False) -> "Above":
    """The guide that infers the layers above k and leaves the others to the prior: any bound becomes L^{>k}.

        ELBO()(model, above(guide, 1))
        log_likelihood(model, above(guide, 1), x, k=100)

    At k = 0 it is `guide` in law; at the number of layers every latent comes from the prior. Sites of no
    layer (`zoo.latent`), for example a label ``y``, stay the guide's.

    Args:
        guide: a `Guide`, or any Pyro program. Its parameters are shared. What it draws before the model runs
            needs its layer there too, ``zoo.latent("z_1", q, layer=1)``.
        k: the highest layer that is not inferred, layer 1 being the nearest to the image.
        mean: layers up to k take the mean of their prior in place of a draw (Havtorn et al. 2021,
            arXiv:2102.08248): less noisy, but a plug-in score and no bound on anything.

    Raises:
        UsageError: if k is negative; at the first use, if the model has fewer than k layers, or the guide
            draws one of them without its layer.
    """
    return Above(guide, k, mean=mean)


class Above(Guide):
    """See `above`."""

    def __init__(self, guide: Any, k: int, *, mean: bool = False) -> None:
        if k < 0:
            raise UsageError(f"expected a layer k >= 0, above which to infer; got {k}")
        super().__init__(getattr(guide, "model", None))
        self.k, self.mean = k, mean
        self.guide: Any = guide if isinstance(guide, Guide) else OrdinaryGuide(guide)
        if isinstance(guide, nn.Module) and guide is not self.guide:
            self.program = guide  # so that its parameters are among ours

    def encode(self, x: Tensor) -> Any:
        """The guide's own."""
        return self.guide.encode(x)

    def bottom_up(self, features: Any) -> "Descent":
        """The guide's own, its draws up to layer k hidden."""
        with Hidden(self.k) as hidden:
            features = self.guide.bottom_up(features)
        return Descent(features, hidden.top)

    def posterior(self, name: str, prior: Any, h: Any, features: "Descent") -> Any:
        """The guide's own."""
        return self.guide.posterior(name, prior, h, features.inner)

    def answer(self, message: Any, features: "Descent") -> Any:
        """The prior itself up to layer k, else the guide's posterior.

        Raises:
            UsageError: if the model has fewer than k layers.
        """
        layer = layer_at(message)
        features.top = max(features.top, layer or 0)
        if layer is None or layer > self.k:
            return self.guide.answer(message, features.inner)
        if features.top < self.k:  # the model draws the highest layer first
            raise UsageError(
                f"expected a layer k from 0 to {features.top}, as many as there are; got {self.k}"
            )
        prior = message["fn"]
        return AtMean(prior, message["name"]) if self.mean else prior

    def require_drawn(self, message: Any) -> None:
        """Check that a latent of a layer up to k was hidden when the guide drew it.

        Raises:
            UsageError: if it was not, for the guide drew it without its layer.
        """
        name, layer = message["name"], layer_at(message)
        if layer is not None and layer <= self.k:
            raise UsageError(
                f"the guide draws {name!r} without its layer: zoo.latent({name!r}, q, layer={layer})"
            )


@dataclass
class Descent:
    """The state of one run of the model: the guide's features and the highest layer met so far."""

    inner: Any
    top: int


class Hidden(Messenger):
    """Makes auxiliary variables, of no weight, of what a guide draws up to layer k.

    Under another name, so that the model does not find them; not blocked, so that their noise is of the
    same sample's stream (`zoo.infer.noise`) as all other noise.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k, self.top = k, 0

    def _pyro_sample(self, msg: Any) -> None:
        layer = layer_at(msg)
        if layer is None:
            return
        self.top = max(self.top, layer)
        if layer <= self.k:
            msg["name"] = f"{msg['name']}_hidden"
            msg["infer"] = {**msg["infer"], "is_auxiliary": True, "layer": None}
            msg["mask"] = False


class AtMean(TorchDistribution):
    """All draws are the mean of `prior`; the density is that of `prior`, so the site's term is 0.

    Raises:
        UsageError: if the prior has no known mean.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True

    def __init__(self, prior: Any, name: str) -> None:
        self.prior, self.value = prior, mean_of(prior, name)
        super().__init__(prior.batch_shape, prior.event_shape, validate_args=False)

    @property
    def support(self) -> Any:
        """That of the prior."""
        return self.prior.support

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The mean."""
        return self.value.expand(Size(sample_shape) + self.value.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(value)."""
        return self.prior.log_prob(value)


def mean_of(distribution: Any, name: str) -> Tensor:
    """The mean of the distribution at site `name`.

    Raises:
        UsageError: if none is known.
    """
    try:
        mean: Tensor = distribution.mean
        return mean
    except NotImplementedError:
        raise UsageError(
            f"the distribution at {name!r}, {type(distribution).__name__}, has no known mean: draw from it, "
            "mean=False"
        ) from None
