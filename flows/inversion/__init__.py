"""Inversion of autoregressive flows: element by element, or of all at once until convergence."""
