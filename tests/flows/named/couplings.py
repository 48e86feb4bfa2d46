"""Couplings, of vectors and of images."""

import torch

from flows import AdditiveCoupling, AffineCoupling, Composed, Halves, Masked, checkerboard
from tests.flows.named.case import Case

CASES = {
    "affine coupling of 2": Case(lambda: AffineCoupling(2)),
    "affine coupling of 5": Case(lambda: AffineCoupling(5, hidden=(8,))),
    "flipped affine coupling": Case(lambda: AffineCoupling(5, flip=True, hidden=(8, 8))),
    "affine coupling without hidden layers": Case(lambda: AffineCoupling(4, hidden=())),
    "affine coupling, unbounded": Case(lambda: AffineCoupling(4, hidden=(8,), bound=None)),
    "affine coupling of any mask": Case(
        lambda: AffineCoupling(4, hidden=(8,), mask=Masked(torch.tensor([True, False, False, True])))
    ),
    "conditional affine coupling": Case(lambda: AffineCoupling(5, hidden=(8,), context=3)),
    "additive coupling": Case(lambda: AdditiveCoupling(5, hidden=(8,))),
    "conditional additive coupling": Case(lambda: AdditiveCoupling(4, hidden=(8,), context=2)),
    "affine coupling of one channel": Case(lambda: AffineCoupling((1, 2, 3), hidden=(6,), flip=True)),
    "affine coupling of channels": Case(lambda: AffineCoupling((4, 2, 3), hidden=(6, 6))),
    "affine coupling of channels, one hidden layer": Case(lambda: AffineCoupling((3, 2, 2), hidden=(6,))),
    "checkerboard": Case(
        lambda: AffineCoupling((2, 3, 3), hidden=(6,), mask=checkerboard((2, 3, 3), flip=True))
    ),
    "channels given a map": Case(lambda: AffineCoupling((2, 3, 2), hidden=(6,), context=(3, 3, 2))),
    "channels given a vector": Case(lambda: AffineCoupling((2, 3, 2), hidden=(6,), context=3)),
    "halves by name": Case(lambda: AffineCoupling(4, hidden=(8,), mask=Halves((4,), flip=True))),
    "two in a row, one conditional": Case(
        lambda: Composed(
            [AffineCoupling(4, hidden=(8,)), AffineCoupling(4, flip=True, hidden=(8,), context=2)]
        )
    ),
    "inverse of a coupling": Case(lambda: AffineCoupling(4, hidden=(8,)).inv),
}
