"""Planar, radial, Sylvester and Householder flows, and permutations."""

from flows import (
    Axes,
    Composed,
    Householder,
    Orthogonal,
    Permutation,
    Planar,
    Radial,
    Reflections,
    Scaling,
    Sylvester,
)
from flows.builders import planar
from tests.flows.named.case import Case


def _planar(make, noise=0.5):
    return Case(make, atol=1e-8, noise=noise, compiles=False)


CASES = {
    "planar": _planar(lambda: Planar(4)),
    "planar of one feature": _planar(lambda: Planar(1)),
    "conditional planar": _planar(lambda: Planar(4, context=3)),
    "planar of images": _planar(lambda: Planar((2, 2, 3))),
    "planar of images given a map": _planar(lambda: Planar((1, 2, 3), context=(2, 2, 3))),
    "planar flows in a row": _planar(lambda: planar(3, layers=3), noise=0.3),
    "inverse of conditional planar flows": Case(
        lambda: planar(3, layers=2, context=2).inv, atol=1e-8, noise=0.3
    ),
    "sylvester": _planar(lambda: Sylvester(4, Orthogonal(2))),
    "conditional sylvester": _planar(lambda: Sylvester(3, Orthogonal(3), context=2), noise=0.3),
    "sylvester of images": _planar(lambda: Sylvester((2, 2, 2), context=(1, 2, 2)), noise=0.2),
    "sylvester by reflections": _planar(lambda: Sylvester(3, Reflections(2), context=2), noise=0.3),
    "triangular sylvester": _planar(
        lambda: Composed([Sylvester(3, Axes(reverse), context=2) for reverse in (False, True)]), noise=0.3
    ),
    "householder": Case(lambda: Composed([Scaling(4), Householder(4, reflections=3)]), noise=0.5),
    "conditional householder": Case(lambda: Composed([Scaling(3), Householder(3, context=2)]), noise=0.5),
    "householder of images": Case(lambda: Composed([Scaling((2, 2, 2)), Householder((2, 2, 2))]), noise=0.5),
    "radial": Case(lambda: Radial(4), noise=0.5),
    "radial of one feature": Case(lambda: Radial(1), noise=0.5),
    "conditional radial": Case(lambda: Radial(3, context=2), noise=0.5),
    "radial of images": Case(lambda: Radial((2, 2, 3), context=4), noise=0.5),
    "permutation": Case(lambda: Permutation(5, seed=0)),
    "reverse": Case(lambda: Permutation.reverse(4)),
    "permutation of channels": Case(lambda: Permutation((4, 2, 3), order=[2, 0, 3, 1])),
}
