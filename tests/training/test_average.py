"""The averaged parameters: the average they should be, and a copy that nothing initialises again."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import zoo
from tests.training import runs
from zoo.data import Unit
from zoo.models.glow import glow
from zoo.training.average import ParameterAverage


class Layers(nn.Module):
    """Parameters of two types, shared ones, and buffers, one of which is replaced at every step."""

    def __init__(self):
        super().__init__()
        self.linear, self.double = nn.Linear(3, 4), nn.Linear(2, 2).double()
        self.shared = self.linear
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("replaced", torch.zeros(()))
        self.register_buffer("missing", None)

    def step(self):
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(torch.randn_like(parameter))
        self.norm(torch.randn(5, 4))
        self.replaced = self.replaced + 1


@pytest.mark.parametrize("decay", [0.2, 0.9])
def test_it_is_the_average_of_pytorchs_averaged_model(decay):
    module = Layers()
    ours, stock = ParameterAverage(module, decay), AveragedModel(module)
    for n in range(6):
        module.step()
        ours.update_parameters(module)
        stock.multi_avg_fn = get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))
        stock.update_parameters(module)
        for name, value in stock.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value, msg=name)
    assert ours.module.replaced == 6
    assert ours.module.shared is ours.module.linear
    assert not torch.equal(ours.module.linear.weight, module.linear.weight)


def test_a_state_of_pytorchs_averaged_model_is_taken_up():
    module = Layers()
    stock = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    stock.update_parameters(module)
    ours = ParameterAverage(module, 0.5)
    ours.load_state_dict(stock.state_dict())
    assert ours.n_averaged == 1


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("steps", [1, 4])
def test_a_call_of_what_is_evaluated_leaves_it_as_it_is(steps, ema):
    """Glow's activation normalisations are initialised by the first batch that they see in training mode."""
    torch.manual_seed(0)
    model, guide = glow((1, 8, 8), levels=17, depth=1, hidden=(4,))
    data = runs.digits(encoding=Unit())
    fit = zoo.fit(model, guide, zoo.ELBO(), data, steps=steps, ema=ema)
    before = copy.deepcopy(fit.evaluated.state_dict())
    assert any(name.endswith("initialised") and flag for name, flag in before.items())
    assert not any(module.training for module in fit.evaluated.modules())
    x = next(iter(data.epoch(1)))
    with torch.no_grad():
        fit.evaluated(x)
    assert runs.same(before, fit.evaluated.state_dict())
