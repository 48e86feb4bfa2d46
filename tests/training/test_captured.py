"""A gradient as one CUDA graph: the same run. Without a GPU a tape of the operations stands for the graph."""

from functools import partial

import pytest
import torch

import zoo
from tests.catalogue import PAIRS, images_for, pair
from tests.contracts import assert_all_close, taped
from tests.training import runs
from zoo.errors import UsageError
from zoo.infer.aggressive import AggressiveELBO
from zoo.training import update
from zoo.training.captured import CapturedGradient
from zoo.training.options import TrainingOptions
from zoo.training.update import Update

CPU = torch.device("cpu")
HAS_GPU = torch.cuda.is_available()


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(update, "CapturedGradient", partial(CapturedGradient, capture=taped))
    monkeypatch.setattr(update, "_require_capturable", lambda *_: None)


def gradients(loss, update, x, step):
    """What a step finds: its figures, those of the loss's terms, and the gradients."""
    loss.schedule(step)
    torch.manual_seed(step)
    measured = update.gradient(x)
    found = [*measured.values(), *loss.stats.values(), *(p.grad for p in loss.parameters())]
    return [value if value is None else value.clone() for value in found]


@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize("name", PAIRS)
def test_a_gradient_is_one_sequence_of_operations(name):
    """Of other images, other noise and another factor of the KL terms than those it was captured with."""
    torch.manual_seed(0)
    found = []
    for captured in (False, True):
        loss = zoo.ELBO(warmup=5, free_bits=1.0)(*pair(name)).train()
        options = TrainingOptions(cuda_graph=captured, clip=1.0, skip_above=1e6)
        taken = Update(loss, options, CPU, lambda: torch.empty(0))
        batches = images_for(name, 9).split(3)
        found.append([gradients(loss, taken, x, step) for step, x in enumerate(batches)])
    for eager, replayed in zip(*found, strict=True):
        assert_all_close(replayed, eager)


def test_a_number_that_python_changes_is_not_seen():
    """Control: what a tape holds is fixed, as in a graph."""
    factors = iter([1.0, 2.0, 3.0, 4.0])
    weight = torch.nn.Linear(1, 1, bias=False)

    def gradient(x):
        weight.weight.grad = next(factors) * x
        return {}

    captured = CapturedGradient(gradient, weight, capture=taped)
    found = []
    for x in (1.0, 10.0, 100.0):
        captured(torch.full((1, 1), x))
        found.append(weight.weight.grad.item())
    assert found == [1.0, 30.0, 300.0]  # the second call was made twice: before the tape, and on it


@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize("changes", [{}, {"skip_above": 30.0, "accumulate": 2}, {"normalise": True}])
def test_a_captured_run_is_the_run(changes, tmp_path):
    """With a smaller last batch, evaluations in between, and wherever it is resumed."""

    def evaluate(trainer):
        trainer.loss.eval()
        trainer.loss(torch.zeros(3, 1, 8, 8))
        trainer.loss.train()

    fit = partial(runs.fit_digits, data=runs.digits(37), callbacks=[evaluate], **changes)
    fit(tmp_path / "eager", steps=11)
    for steps in (3, 6, 11):
        fit(tmp_path / "captured", steps=steps, cuda_graph=True)
    assert runs.same(runs.state(tmp_path / "captured"), runs.state(tmp_path / "eager"))
    assert runs.metrics(tmp_path / "captured") == runs.metrics(tmp_path / "eager")


@pytest.mark.skipif(not HAS_GPU, reason="needs a GPU")
def test_a_graph_of_a_gpu_is_the_run():
    eager, captured = (
        runs.fit_digits(None, device="cuda", cuda_graph=cuda_graph).loss.state_dict()
        for cuda_graph in (False, True)
    )
    torch.testing.assert_close(captured, eager)


def test_what_cannot_be_captured_is_refused_in_one_line():
    def reads(x):
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors")

    gradient = CapturedGradient(lambda x: {}, torch.nn.Linear(1, 1), capture=reads)
    gradient(torch.zeros(2))
    with pytest.raises(UsageError, match=r"captured.*\(operation not .* capturing\): train with cuda_graph"):
        gradient(torch.zeros(2))


def test_a_graph_is_of_one_gpu():
    with pytest.raises(UsageError, match="expected device=cuda with cuda_graph=true; got cpu"):
        runs.fit_digits(None, cuda_graph=True)
    lagging = AggressiveELBO()(*pair("vae"))
    with pytest.raises(UsageError, match="an objective that reads its loss"):
        update._require_capturable(lagging, torch.device("cuda"))
