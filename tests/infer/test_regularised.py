"""KL balancing, warm-up and penalties: what NVAE's objective adds to the ELBO."""

import copy

import pyro
import pytest
import torch

from tests.catalogue import IMAGE, images, images_for, nvaes, pair
from tests.contracts import (
    Synchronisations,
    assert_equal_up_to_rounding,
    loss_and_gradients,
    operations,
    seeded,
)
from zoo import ELBO, compile_loss
from zoo.infer.channel_free_bits import ChannelFreeBits
from zoo.infer.regularised import RegularisedELBO, balance
from zoo.nn.spectral import BatchNormScales, SpectralNorms

X = images(4)


def terms(*values):
    return {f"z_{i}": torch.full((2, 3), value) for i, value in enumerate(values, 1)}


def built(name="nvae", **options):
    return RegularisedELBO(**options)(*pair(name)).train()


def test_the_balance_of_a_small_example():
    """r = 1.01 / 8, 3.01 / 2: gamma = 2 r / sum r."""
    found = balance(terms(1.0, -3.0), {"z_1": 8.0, "z_2": 2.0})
    expected = 2 * torch.tensor([1.01 / 8, 3.01 / 2]) / (1.01 / 8 + 3.01 / 2)
    torch.testing.assert_close(found, expected)


def test_the_balance_is_one_on_average_and_has_no_gradient():
    kl = {name: term.requires_grad_() for name, term in terms(0.0, 0.3, 50.0).items()}
    found = balance(kl, {"z_1": 1.0, "z_2": 4.0, "z_3": 2.0})
    torch.testing.assert_close(found.mean(), torch.tensor(1.0))
    assert not found.requires_grad


def test_a_latents_share_is_its_size_over_the_groups_of_its_shape():
    """Two groups of (2, 4, 4) near the image, one of (2, 2, 2) at the top."""
    loss = built()
    loss(X)
    assert loss.shares == {"z_3": 8.0, "z_2": 16.0, "z_1": 16.0}


def test_balanced_terms_are_what_is_paid_until_the_warm_up_is_over():
    loss = built(warmup=10, spectral=0.0)
    loss.schedule(4)
    found = seeded(loss, X)
    parts = seeded(loss.terms, X)
    factors = balance(parts.kl, loss.shares)
    kl = sum(factors[i] * term for i, term in enumerate(parts.kl.values()))
    torch.testing.assert_close(found, (0.5 * kl - parts.log_likelihood["x"]).mean())
    loss.schedule(9)
    torch.testing.assert_close(seeded(loss, X), seeded(ELBO()(loss.model, loss.guide).train(), X))


@pytest.mark.parametrize(("step", "beta"), [(0, 0.01), (14, 0.15), (29, 0.3), (99, 1.0), (500, 1.0)])
def test_the_warm_up_is_linear(step, beta):
    loss = built(warmup=100)
    loss.schedule(step)
    assert loss.beta.item() == pytest.approx(beta)


def test_the_penalty_is_lambda_times_the_norms_and_the_scales():
    plain, loss = built(spectral=0.0), built(spectral=0.3)
    networks = (loss.model, loss.guide)
    penalty = SpectralNorms(networks)() + BatchNormScales(networks)()
    torch.testing.assert_close(seeded(loss, X) - seeded(plain, X), 0.3 * penalty)


def test_lambda_goes_from_one_end_to_the_other():
    loss = built(warmup=4, spectral=1e-2, spectral_start=1.0)
    found = []
    for beta in (0.0, 0.5, 1.0):
        loss.beta.fill_(beta)
        found.append(loss.penalty_factor().item())
    assert found == pytest.approx([1.0, 0.1, 1e-2])


def test_evaluated_it_is_the_elbo():
    loss = built(warmup=10).eval()
    torch.testing.assert_close(seeded(loss, X), seeded(ELBO()(loss.model, loss.guide).eval(), X))


@pytest.mark.parametrize("name", ["biva of 3 layers", "vae", "ladder vae", "nvae, flow posterior"])
def test_any_pair_can_be_trained_by_it(name):
    loss = built(name, warmup=3)
    value, gradients = loss_and_gradients(loss, images_for(name), parameters=loss.parameters())
    assert value.isfinite()
    assert all(g.isfinite().all() for g in gradients if g is not None)


def test_a_resumed_loss_goes_on_with_the_same_bits():
    loss = built(warmup=10)
    seeded(loss, X)
    resumed = built(warmup=10)
    resumed.load_state_dict(loss.state_dict(), strict=True)
    assert seeded(resumed, X) == seeded(loss, X)


def test_a_copy_is_independent_of_the_loss():
    loss = built()
    copied = copy.deepcopy(loss)
    before = seeded(copied.eval(), X)
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.add_(0.1)
    assert seeded(copied, X) == before


def test_checkpoints_change_neither_loss_nor_gradients_nor_statistics():
    results = []
    for checkpoint in (False, True):
        torch.manual_seed(0)
        loss = RegularisedELBO()(*nvaes(checkpoint_activations=checkpoint)(IMAGE)).train().double()
        results.append(loss_and_gradients(loss, X, parameters=loss.parameters()))
        results[-1] += (loss.state_dict(),)
    (plain, gradients, state), (value, others, same) = results
    assert value == plain
    scale = max(g.abs().max().item() for g in gradients if g is not None)
    assert_equal_up_to_rounding(others, gradients, operations=operations(loss), scale=scale)
    assert all(torch.equal(state[name], same[name]) for name in state)


@pytest.mark.parametrize("objective", [RegularisedELBO(warmup=10), ChannelFreeBits(free_bits=0.1)])
def test_no_step_waits_for_the_gpu(objective, monkeypatch):
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", False)
    loss = objective(*pair("nvae, flow posterior", dtype=torch.float32)).train()
    with pyro.validation_enabled(False), Synchronisations() as waits:
        loss(X.float()).backward()
    assert waits.count == 0


@pytest.mark.slow
def test_compiled_it_is_the_eager_loss():
    torch._dynamo.reset()
    torch.manual_seed(0)
    loss = RegularisedELBO(warmup=10)(*nvaes(groups=(2,))(IMAGE)).train()
    compiled = compile_loss(loss, X.float(), backend="eager")
    eager = copy.deepcopy(loss)  # compiling has run a step, which moves the statistics
    torch.testing.assert_close(seeded(compiled, X.float()), seeded(eager, X.float()))
