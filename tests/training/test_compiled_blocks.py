"""Repeated networks, compiled: which they are, that they compute the same, and that a run is the same run."""

import copy
import pickle
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch import nn

from tests.training import runs
from zoo.conversion import convert, describe
from zoo.errors import UsageError
from zoo.nn.cells import Cells
from zoo.nn.checkpointed import checkpoint_activations
from zoo.nn.gated_resnet import GatedResNet
from zoo.nn.residual_cells import separable_cell
from zoo.nn.weight_norm import weight_normalised
from zoo.training import update
from zoo.training.compiled_blocks import CompiledBlocks, repeated
from zoo.training.options import TrainingOptions
from zoo.training.precision import MixedPrecision

SHAPE = (2, 4, 4)


def residual(**options):
    return GatedResNet(SHAPE, SHAPE, **options)


def residuals():
    return weight_normalised(nn.ModuleList([residual(), residual()]))


def cells():
    """Two, normalised by the batch, under activation checkpoints."""
    both = nn.ModuleList(Cells(separable_cell(2, 2, expansion=1)) for _ in range(2))
    return checkpoint_activations(both, Cells)


def test_blocks_are_the_outermost_networks_that_have_twins():
    twins = [residual(), residual(dropout=0.5)]
    pairs = [Cells(separable_cell(2, 2)) for _ in range(2)]
    others = [residual(kernel=5), nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Linear(2, 2)]
    module = nn.ModuleList([*others, *twins, *copy.deepcopy(others[1:]), *pairs, twins[0]])
    assert repeated(module) == [*twins, *pairs]
    assert repeated(nn.ModuleList(others)) == []
    with pytest.raises(UsageError, match="some network occurs twice"):
        CompiledBlocks(nn.ModuleList(others))


def passed(module):
    """Loss, gradients and buffers after a pass through all of a list's modules."""
    module.zero_grad()
    x = torch.linspace(-2, 2, 96).view(3, *SHAPE).requires_grad_()
    for part in module:
        x = part(x)
    loss = x.square().mean()
    loss.backward()
    gradients = [p.grad.clone() for p in module.parameters()]
    return [loss.detach(), *gradients, *map(torch.clone, module.buffers())]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("made", "dtype"), [(residuals, torch.float32), (cells, torch.bfloat16)])
def test_compiled_blocks_are_the_eager_ones(made, dtype):
    """Each of fewer than fifty operations may round once more or less."""
    torch.manual_seed(0)
    eager = made()
    ours, names = copy.deepcopy(eager), list(eager.state_dict())
    blocks = CompiledBlocks(ours, "aot_eager")
    assert blocks.blocks == list(ours)
    with in_precision(eager, dtype):
        expected = passed(eager)
    with in_precision(ours, dtype, blocks.blocks), blocks.on():
        found = passed(ours)
        assert blocks.kinds == (1 if made is residuals else 2)  # the pass that computes again is another
        passed(ours)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(found, expected, rtol=50 * eps, atol=50 * eps)
    assert blocks.kinds <= 2
    assert list(ours.state_dict()) == names


def in_precision(module, dtype, blocks=()):
    """Networks in bfloat16, or as they are."""
    mixed = MixedPrecision(module, torch.device("cpu"), blocks=blocks)
    return mixed.on() if dtype is torch.bfloat16 else nullcontext()


def test_outside_a_step_the_module_is_what_it_was():
    module = cells()
    plain = [dict(part.__dict__) for part in module.modules()]
    blocks = CompiledBlocks(module, "eager")
    with pytest.raises(ZeroDivisionError), blocks.on():
        raise ZeroDivisionError
    assert [dict(part.__dict__) for part in module.modules()] == plain
    assert blocks.kinds == 0  # nothing was called
    for made in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert runs.same(passed(made), passed(copy.deepcopy(module)))


@pytest.mark.filterwarnings("ignore")
def test_a_gradient_of_a_gradient_is_refused_in_one_line():
    module, x = residuals(), torch.ones(3, *SHAPE, requires_grad=True)
    blocks = CompiledBlocks(module, "aot_eager")

    def differentiated_twice():
        with blocks.on():
            (gradient,) = torch.autograd.grad(module[0](x).sum(), x, create_graph=True)
            gradient.sum().backward()

    with pytest.raises(UsageError, match="gradients of gradients"):
        differentiated_twice()


@pytest.fixture
def traced(monkeypatch):
    """Blocks are traced, and run by PyTorch's own operations, which takes a second."""
    monkeypatch.setattr("zoo.training.update.CompiledBlocks", partial(CompiledBlocks, backend="eager"))


@pytest.mark.filterwarnings("ignore")
def test_a_run_with_compiled_blocks_is_resumed_to_the_bit(traced, tmp_path, capsys):
    """Nothing is left of trying them out, which happens where each part of the run starts."""
    runs.fit_digits(tmp_path / "whole", steps=4, compile="blocks")
    capsys.readouterr()
    runs.fit_digits(tmp_path / "run", steps=2, compile="blocks")
    assert "compiled 5 blocks of" in capsys.readouterr().err
    runs.fit_digits(tmp_path / "run", steps=4, compile="blocks")
    assert runs.same(runs.state(tmp_path / "run"), runs.state(tmp_path / "whole"))
    assert runs.metrics(tmp_path / "run") == runs.metrics(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_compile_blocks_each(tmp_path):
    done = runs.together(fit_blocks_of, tmp_path / "meeting", tmp_path / "run", steps=2)
    assert done == [0, 0]
    assert runs.state(tmp_path / "run")["step"] == 2


def fit_blocks_of(*arguments, **changes):
    """`runs.fit_digits_of` with blocks that are traced."""
    update.CompiledBlocks = partial(CompiledBlocks, backend="eager")
    runs.fit_digits_of(*arguments, compile="blocks", **changes)


def test_what_is_compiled_is_one_of_three():
    hint = TrainingOptions.__annotations__["compile"]
    values = {"false": False, "true": True, "blocks": "blocks", True: True}
    assert {text: convert("compile", text, hint) for text in values} == values
    assert describe(hint) == "one of false, true, blocks"
    for wrong in ("block", 1, None):
        with pytest.raises(UsageError, match="one of false, true, blocks"):
            convert("compile", wrong, hint)
