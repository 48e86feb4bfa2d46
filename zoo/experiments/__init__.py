"""The experiments, ONE FILE each: what is built, trained and measured, the command and the figures.

A new experiment is a new file here with an ``EXPERIMENT``; `zoo list` finds it. Reading this package does not
import PyTorch.
"""

from zoo.experiments.experiment import Experiment, find, names

__all__ = ["Experiment", "find", "names"]
