"""Increasing maps of one variable, elementwise, whose parameters a network gives."""

from flows.univariate.affine import Additive, Affine
from flows.univariate.univariate import Univariate

__all__ = ["Additive", "Affine", "Univariate"]
