"""Neural spline flows (Durkan et al. 2019), arXiv:1906.04032."""

from collections.abc import Sequence
from typing import Any

from flows.autoregressive import Autoregressive
from flows.coupling import Coupling
from flows.univariate import RationalQuadraticSpline


class SplineCoupling(Coupling):
    r"""The coupling of neural spline flows: y_a = x_a, y_b = f(x_b; net(x_a)).

    f is `flows.univariate.RationalQuadraticSpline`: both directions are in closed form and cost the same.

    Args:
        event_shape: D or (C, H, W).
        bins: of the spline.
        bound: B; elements outside [-B, B] pass unchanged.
        options: see `Coupling`.
    """

    def __init__(
        self, event_shape: int | Sequence[int], *, bins: int = 8, bound: float = 5.0, **options: Any
    ) -> None:
        super().__init__(event_shape, RationalQuadraticSpline(bins, bound), **options)


class SplineAutoregressive(Autoregressive):
    r"""Autoregressive neural spline flow: y_i = f(x_i; net(x_<i)), fast to call, slow to invert.

    f is `flows.univariate.RationalQuadraticSpline`. A sample takes one pass, the density of other points an
    inverse (`Autoregressive`); for a fast density take ``.inv``.

    Args:
        event_shape: D or (C, H, W).
        bins: of the spline.
        bound: B; elements outside [-B, B] pass unchanged.
        options: see `Autoregressive`.
    """

    def __init__(
        self, event_shape: int | Sequence[int], *, bins: int = 8, bound: float = 5.0, **options: Any
    ) -> None:
        super().__init__(event_shape, RationalQuadraticSpline(bins, bound), **options)
