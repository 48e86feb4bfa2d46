"""Samples at the edge of the uniform noise that they are made of."""

import pyro.distributions as dist
import pytest
import torch

from distributions import Logistic
from distributions.temperature import at_temperature


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_sample_of_the_uniform_zero_is_finite(dtype, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "uniform_", torch.Tensor.zero_)
    loc = torch.zeros(2, dtype=dtype)
    assert dist.Logistic(loc, 1.0).rsample().isinf().all()  # control
    for p in (Logistic(loc, 1.0), Logistic(loc, 1.0).expand([3, 2]), at_temperature(Logistic(loc, 1.0), 0.5)):
        x = p.rsample()
        assert x.shape == p.batch_shape
        assert p.log_prob(x).isfinite().all()


def test_all_other_samples_are_pyros():
    p = Logistic(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]))
    torch.manual_seed(0)
    ours = p.rsample((1000,))
    torch.manual_seed(0)
    assert torch.equal(ours, dist.Logistic(p.loc, p.scale).rsample((1000,)))
