"""Increasing maps of one variable, elementwise, whose parameters a network gives."""

from flows.univariate.affine import Additive, Affine
from flows.univariate.inverted import Inverted
from flows.univariate.logistic_mixture import LogisticMixture
from flows.univariate.spline import RationalQuadraticSpline
from flows.univariate.univariate import Univariate

__all__ = ["Additive", "Affine", "Inverted", "LogisticMixture", "RationalQuadraticSpline", "Univariate"]
