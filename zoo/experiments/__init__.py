"""Experiments: what is trained on what, by which recipe; a file a family of systems."""

from zoo.experiments.experiment import Experiment
from zoo.experiments.registry import find, names

__all__ = ["Experiment", "find", "names"]
