"""Aggressive training of the guide: whose turn it is, and when it ends."""

import math
from types import SimpleNamespace

import pyro.distributions as dist
import pytest
import torch
from torch import nn

import zoo
from tests.catalogue import IMAGE, images, pair
from tests.contracts import seeded
from zoo import ELBO, AmortizedGuide, BernoulliLikelihood
from zoo.errors import UsageError
from zoo.infer.aggressive import AggressiveELBO, mutual_information


def loss_of(name="vae", **options):
    return AggressiveELBO(**{"check_every": 10**6, **options})(*pair(name)).train()


def halves(loss):
    """Whether the model, and the guide, have gradients after a step."""
    loss.zero_grad()
    loss(images()).backward()
    shared = {id(p) for p in loss.guide.parameters()}
    of_model = [p.grad is not None for p in loss.model.parameters() if id(p) not in shared]
    of_guide = [p.grad is not None for p in loss.guide.parameters()]
    assert len(set(of_model)) == len(set(of_guide)) == 1
    return of_model[0], of_guide[0]


GUIDE, MODEL = (False, True), (True, False)


@pytest.mark.parametrize("name", ["vae", "vamp vae"])
def test_a_budget_of_one_step_alternates(name):
    loss = loss_of(name, inner_steps=1)
    assert [halves(loss) for _ in range(4)] == [GUIDE, MODEL, GUIDE, MODEL]


def test_the_model_steps_when_the_guides_loss_stops_falling():
    loss = loss_of()
    losses = [10.0] * 10 + [9.0] * 10 + [9.5] * 10
    for value in losses[:-1]:
        loss._count(torch.tensor(value))
        assert not loss.models_turn
    loss._count(torch.tensor(losses[-1]))
    assert loss.models_turn
    assert halves(loss) == MODEL
    assert halves(loss) == GUIDE


def test_the_guide_has_a_budget():
    loss = loss_of(inner_steps=25)
    for i in range(25):
        assert not loss.models_turn
        loss._count(torch.tensor(100.0 - i))
    assert loss.models_turn


def test_values_are_the_elbos_and_evaluation_changes_nothing():
    loss, x = loss_of(), images()
    plain = ELBO()(*pair("vae"))
    torch.testing.assert_close(seeded(loss, x), seeded(plain, x))
    before = loss.get_extra_state()
    torch.testing.assert_close(seeded(loss.eval(), x), seeded(plain, x))
    assert torch.equal(loss.get_extra_state(), before)


def test_the_phase_ends_when_the_information_no_longer_rises(monkeypatch):
    found = iter([1.0, 2.0, 2.0, 3.0, 2.5, 2.5, 9.0])
    monkeypatch.setattr("zoo.infer.aggressive.mutual_information", lambda *args: next(found))
    loss = loss_of(check_every=2, plateau=2)
    both = [halves(loss) for _ in range(14)]
    assert (True, True) not in both[:12]
    assert both[12:] == [(True, True)] * 2
    assert loss.progress.best == 3.0


def test_progress_is_in_the_state():
    loss, other = loss_of(inner_steps=3), loss_of(inner_steps=3)
    for _ in range(3):
        halves(loss)
    other.load_state_dict(loss.state_dict())
    assert other.progress == loss.progress
    assert halves(other) == MODEL


def test_validation_images_are_taken_where_there_are_any():
    objective = AggressiveELBO()
    encoding = lambda x, levels: x.float() / (levels - 1)  # noqa: E731
    objective.prepare(None, SimpleNamespace(validation=torch.ones(700, *IMAGE), levels=2), encoding)
    assert objective.held.shape == (500, *IMAGE)


def test_a_whole_training_leaves_the_model_alone_in_the_inner_loop():
    model, guide = pair("vae", dtype=torch.float32)
    before = [p.clone() for p in model.parameters()]
    first = [p.clone() for p in guide.parameters()]
    objective = AggressiveELBO(inner_steps=50, check_every=10**6)
    x = images(40, dtype=torch.float32)
    zoo.fit(model, guide, objective, x, epochs=2, batch_size=10)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all((a != b).any() for a, b in zip(first, guide.parameters(), strict=True))


class Code(nn.Module):
    """The class of an image, its first pixel, exactly: one of two."""

    def forward(self, x):
        return dist.Categorical(logits=1e3 * torch.stack([1 - x[:, 0, 0, 0], x[:, 0, 0, 0]], 1))


class Images(zoo.Program):
    """A model of a class."""

    def __init__(self):
        super().__init__()
        self.likelihood = BernoulliLikelihood(nn.Identity())

    def forward(self, x):
        with zoo.batch_plate():
            zoo.latent("z", dist.Categorical(logits=torch.zeros(len(x), 2)))


def test_the_information_of_a_code_is_its_entropy():
    x = images(16)
    x[:, 0, 0, 0] = (torch.arange(16) < 4).double()
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    found = mutual_information(Images(), AmortizedGuide(Code()), x)
    assert found == pytest.approx(expected, abs=1e-9)


def test_information_is_at_most_the_logarithm_of_the_batch_and_zero_of_equal_posteriors():
    model, guide = pair("vae")
    with torch.no_grad():
        guide.head.project[-2 if len(guide.head.project) > 2 else 0].weight.mul_(1e4)
    assert mutual_information(model, guide, images(8)) <= math.log(8) + 1e-9
    same = images(1).expand(8, -1, -1, -1)
    assert mutual_information(model, guide, same) == pytest.approx(0.0, abs=1e-6)


def test_several_latents_are_refused():
    with pytest.raises(UsageError, match="one latent variable"):
        mutual_information(*pair("hierarchical vae"), images())


@pytest.mark.parametrize("options", [{"inner_steps": 0}, {"check_every": 0}, {"plateau": 0}])
def test_mistakes_are_named(options):
    with pytest.raises(UsageError, match="expected"):
        AggressiveELBO(**options)
