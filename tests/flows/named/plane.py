"""Flows of the plane, whose densities are integrated on a grid."""

from flows import (
    IAF,
    MAF,
    ActNorm,
    AffineCoupling,
    Composed,
    InvertibleConv,
    LogisticMixtureCoupling,
    Permutation,
    Planar,
    Radial,
    SplineCoupling,
)
from flows.builders import flow_plus_plus, glow, iaf, maf, nice, planar, real_nvp
from tests.flows.named.case import Case


def _plane(make, **options):
    """A case without a context and one given three numbers."""
    return tuple(Case(lambda c=c: make(c), **{"noise": 0.3} | options) for c in (None, 3))


def _turned(make):
    """Two of a coupling that changes one of the two coordinates each."""
    return lambda c: Composed([make(c), Permutation.reverse(2), make(c)])


_PLANE = {
    "affine couplings": _plane(_turned(lambda c: AffineCoupling(2, hidden=(6,), context=c))),
    "spline couplings": _plane(_turned(lambda c: SplineCoupling(2, bins=4, hidden=(6,), context=c))),
    "mixture couplings": _plane(
        _turned(lambda c: LogisticMixtureCoupling(2, components=2, hidden=(6,), context=c)), atol=1e-8
    ),
    "MAF": _plane(lambda c: MAF(2, hidden=(6,), context=c)),
    "IAF": _plane(lambda c: IAF(2, hidden=(6,), context=c), compiles=False, elementwise=False),
    "planar flow": _plane(lambda c: Planar(2, context=c), atol=1e-8, compiles=False),
    "radial flow": _plane(lambda c: Radial(2, context=c), noise=1.0),
    "maf": _plane(lambda c: maf(2, layers=2, hidden=(6,), context=c)),
    "iaf": _plane(lambda c: iaf(2, layers=2, hidden=(6,), context=c), compiles=False, elementwise=False),
    "nice": _plane(lambda c: nice(2, layers=2, hidden=(6,), context=c)),
    "real_nvp": _plane(lambda c: real_nvp(2, layers=2, hidden=(6,), context=c)),
    "glow": _plane(lambda c: glow(2, depth=2, hidden=(6,), context=c)),
    "planar flows": _plane(lambda c: planar(2, layers=2, context=c), atol=1e-8, compiles=False),
    "flow_plus_plus": _plane(
        lambda c: flow_plus_plus(2, layers=(1, 0, 1), components=2, width=6, context=c), atol=1e-8
    ),
}

CASES = {f"{name} of the plane": without for name, (without, _) in _PLANE.items()}
CASES |= {f"conditional {name} of the plane": given for name, (_, given) in _PLANE.items()}
CASES |= {
    "linear map of the plane": Case(lambda: InvertibleConv(2), noise=0.3),
    "actnorm of the plane": Case(lambda: ActNorm(2), noise=0.3),
}
