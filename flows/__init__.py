"""Normalizing flows: Pyro transforms with parameters, for priors, posteriors and densities alike."""

from flows.composed import Composed
from flows.coupling import AdditiveCoupling, AffineCoupling, Coupling
from flows.flow import Flow, Inverse
from flows.partitions import Halves, Masked, checkerboard

__all__ = [
    "AdditiveCoupling",
    "AffineCoupling",
    "Composed",
    "Coupling",
    "Flow",
    "Halves",
    "Inverse",
    "Masked",
    "checkerboard",
]
