"""Soft free bits (arXiv:1611.02731)."""

import pytest
import torch

from tests.catalogue import images_for, pair
from tests.contracts import seeded
from zoo import ELBO, SoftFreeBits
from zoo.errors import UsageError

PAIRS = ["vae", "vae, conditional flow posterior", "hierarchical vae"]


def loss_of(name, **options):
    model, guide = pair(name)
    return SoftFreeBits(**options)(model, guide).train(), images_for(name, 8)


@pytest.mark.parametrize("name", PAIRS)
def test_without_a_target_it_is_the_elbo(name):
    loss, x = loss_of(name, target=0.0)
    plain = ELBO()(loss.model, loss.guide).train()
    for _ in range(3):
        assert seeded(plain.terms, x).means()["kl"] > 0
        torch.testing.assert_close(seeded(loss, x), seeded(plain, x))


@pytest.mark.parametrize("name", PAIRS)
def test_the_factor_falls_below_the_target_and_rises_above_it(name):
    loss, x = loss_of(name, target=1e4, rate=0.5)
    for expected in (1 / 1.5, 1 / 1.5**2):
        seeded(loss, x)
        assert loss.gamma.item() == pytest.approx(expected)
    loss.objective.target = 0.0
    for expected in (1 / 1.5, 1.0, 1.0):  # and never above 1
        seeded(loss, x)
        assert loss.gamma.item() == pytest.approx(expected)


def test_the_factor_stays_within_the_tolerance():
    loss, x = loss_of("vae", start=0.5)
    kl = seeded(loss.terms, x).means()["kl"].item()
    for target, expected in ((kl / 1.04, 0.5), (kl / 0.96, 0.5), (kl / 1.06, 0.55), (kl / 0.94, 0.5)):
        loss.objective.target = target
        seeded(loss, x)
        assert loss.gamma.item() == pytest.approx(expected)


def test_the_loss_has_the_factor_of_before_the_step():
    loss, x = loss_of("vae", target=1e4, start=0.25)
    means = seeded(loss.terms, x).means()
    expected = 0.25 * means["kl"] - means["log_likelihood"]
    torch.testing.assert_close(seeded(loss, x).detach(), expected, check_dtype=False)


def test_evaluation_is_the_elbo_and_leaves_the_factor():
    loss, x = loss_of("vae", target=1e4, start=0.25)
    plain = ELBO()(loss.model, loss.guide).eval()
    torch.testing.assert_close(seeded(loss.eval(), x), seeded(plain, x))
    with torch.no_grad():
        seeded(loss.train(), x)
    assert loss.gamma.item() == 0.25


def test_the_factor_is_kept_in_the_state():
    loss, x = loss_of("vae", target=1e4)
    seeded(loss, x)
    other, _ = loss_of("vae", target=1e4)
    other.load_state_dict(loss.state_dict())
    assert other.gamma == loss.gamma < 1


def test_training_finds_the_target():
    """More than the ELBO would spend on images of noise."""
    torch.manual_seed(0)
    loss, x = loss_of("iwae", target=6.0)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.02)
    seen = []
    for _ in range(120):
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()
        seen.append(loss.stats["kl"].item())
    assert torch.tensor(seen[-60:]).mean().item() == pytest.approx(6.0, rel=0.25)
    assert loss.gamma < 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": -1.0}, "target >= 0 nats; got -1"),
        ({"rate": 0.0}, "rate > 0; got 0"),
        ({"tolerance": 1.0}, "0 <= tolerance < 1; got 1"),
        ({"start": 1.5}, "start <= 1; got 1.5"),
    ],
)
def test_numbers_out_of_range_are_refused(options, said):
    with pytest.raises(UsageError, match=said):
        SoftFreeBits(**options)
