"""Couplings of maps that are not affine."""

from flows import Composed, LogisticMixtureCoupling, Permutation, SplineAutoregressive, SplineCoupling
from tests.flows.named.case import Case

CASES = {
    "mixture coupling": Case(lambda: LogisticMixtureCoupling(4, components=3, hidden=(8,)), atol=1e-8),
    "mixture coupling of one component": Case(
        lambda: LogisticMixtureCoupling(3, components=1, hidden=(8,), flip=True), atol=1e-8
    ),
    "conditional mixture coupling": Case(
        lambda: LogisticMixtureCoupling(4, components=2, hidden=(8,), context=3), atol=1e-8
    ),
    "mixture coupling of channels": Case(
        lambda: LogisticMixtureCoupling((2, 2, 3), components=2, hidden=(6,), context=(3, 2, 3)), atol=1e-8
    ),
    "spline coupling": Case(lambda: SplineCoupling(4, bins=4, bound=2.0, hidden=(8,))),
    "spline coupling of two bins": Case(lambda: SplineCoupling(3, bins=2, hidden=(8,), flip=True)),
    "conditional spline coupling": Case(lambda: SplineCoupling(5, bins=3, hidden=(8,), context=2)),
    "spline coupling of channels": Case(
        lambda: SplineCoupling((3, 2, 2), bins=3, hidden=(6,), context=(2, 2, 2))
    ),
    "splines about a permutation": Case(
        lambda: Composed(
            [
                SplineCoupling(4, bins=3, hidden=(8,)),
                Permutation(4, seed=0),
                SplineCoupling(4, bins=3, hidden=(8,)),
            ]
        )
    ),
    "autoregressive spline": Case(
        lambda: SplineAutoregressive(3, bins=3, hidden=(8,)), compiles=False, elementwise=False
    ),
    "density of conditional autoregressive splines": Case(
        lambda: SplineAutoregressive(3, bins=2, hidden=(8,), context=2).inv
    ),
}
