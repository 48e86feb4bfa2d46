"""Normalizing flows: Pyro transforms with parameters, for priors, posteriors and densities alike."""

from flows.affine_coupling import AffineCoupling

__all__ = ["AffineCoupling"]
