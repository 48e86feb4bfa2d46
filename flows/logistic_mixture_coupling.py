"""The coupling of Flow++ (Ho et al. 2019), arXiv:1902.00275."""

from collections.abc import Sequence
from typing import Any

from flows.coupling import Coupling
from flows.univariate import Inverted, LogisticMixture


class LogisticMixtureCoupling(Coupling):
    r"""The coupling of Flow++: fast to score, slow to sample.

    Inverse:    x_a = y_a,  x_b = f(y_b; net(y_a)),  f `flows.univariate.LogisticMixture`
    Forward:    y_a = x_a,  y_b the root of f(y_b; net(x_a)) = x_b

    As in the paper, f leads from data to noise. So ``log_prob`` is one call of f; a sample is a search of
    some ten to sixty, though with one call of the network. For the other way round take ``.inv``.

    Args:
        event_shape: D or (C, H, W).
        components: of the mixture.
        bound: of its log scales, see `flows.univariate.LogisticMixture`.
        options: see `Coupling`.
    """

    def __init__(
        self, event_shape: int | Sequence[int], *, components: int = 8, bound: float = 2.0, **options: Any
    ) -> None:
        super().__init__(event_shape, Inverted(LogisticMixture(components, bound)), **options)
