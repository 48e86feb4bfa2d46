"""Figures that no model can have."""

import pytest
import torch

import zoo
from zoo.errors import NonFiniteError
from zoo.infer.importance import LogLikelihood
from zoo.runs import run as module


@pytest.mark.parametrize("nats", [-1e30, float("nan"), float("-inf")])
@pytest.mark.parametrize(
    ("method", "estimator"), [("evaluate", "log_likelihood"), ("anneal", "annealed_log_likelihood")]
)
def test_a_log_likelihood_that_no_model_has_is_refused(method, estimator, nats, monkeypatch):
    each = torch.full((2,), nats, dtype=torch.float64)
    absurd = LogLikelihood(each, each, each, each, each, each, samples=1, dimensions=64)
    monkeypatch.setattr(module, estimator, lambda *given, **options: absurd)
    with pytest.raises(NonFiniteError, match="the run has diverged"):
        getattr(zoo.Run.open("vae_digits"), method)(images=2)
