"""Systems whose latents are kept in use beside a strong decoder."""

import pytest
import torch

from tests.catalogue import IMAGE, images
from zoo import ELBO, AR1Prior
from zoo.models.delta_vae import delta_vae
from zoo.nn.anti_causal import AntiCausalEncoder
from zoo.parts.heads import SequenceHead


def test_the_divergence_is_never_below_the_committed_rate():
    """Of random encoders, and of one that is trained to have none."""
    torch.manual_seed(0)
    model, guide = delta_vae(IMAGE, latent=2, length=5, decoder_channels=4, strides=(2,))
    delta, x = model.prior().committed_rate(), images(dtype=torch.float32)
    loss = ELBO()(model, guide)
    optimizer = torch.optim.Adam(guide.parameters(), lr=0.05)
    for _ in range(60):
        kl = loss.terms(x).kl["z"]
        assert (kl > delta).all()
        optimizer.zero_grad()
        kl.mean().backward()
        optimizer.step()
    assert kl.mean() < delta + 0.1


@pytest.mark.parametrize(("height", "steps"), [(6, 5), (6, 6), (6, 2), (9, 3), (17, 17), (1, 1)])
def test_a_step_sees_all_rows_from_its_own_on_and_none_above(height, steps):
    encoder = AntiCausalEncoder((2, height, 3), steps, channels=6).double()
    head = SequenceHead(encoder, (3, steps)).double()
    x = torch.randn(1, 2, height, 3, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: head(x).mean[0], x)  # (3, T, 1, 2, H, 3)
    sees = jacobian.abs().amax((0, 2, 3, 5)) > 0  # step t, row
    begins = torch.tensor([t * height // steps for t in range(steps)])
    assert torch.equal(sees, torch.arange(height) >= begins[:, None])


def test_there_are_at_most_as_many_steps_as_rows():
    with pytest.raises(ValueError, match="expected 1 to 6 steps"):
        AntiCausalEncoder((1, 6, 5), 7)


def test_the_encoder_may_see_all_of_the_image():
    """And then has no order of rows: its networks are those of a VAE."""
    _, guide = delta_vae(IMAGE, latent=2, length=9, anti_causal=False, decoder_channels=4, strides=(2,))
    x = images(dtype=torch.float32).requires_grad_()
    guide.head(x).mean[0, :, -1].sum().backward()
    assert (x.grad[0].abs().amax((0, 2)) > 0).all()


def test_a_prior_without_correlation_commits_nothing():
    prior = AR1Prior((3, 4), slowest=0.0, fastest=0.0)
    assert prior().committed_rate() == 0
    z = torch.randn(5, 3, 4)
    standard = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum((1, 2))
    torch.testing.assert_close(prior().log_prob(z), standard)


@pytest.mark.parametrize("latent", [3, (3,), (3, 1), (1, 2, 3)])
def test_a_latent_without_steps_is_refused(latent):
    with pytest.raises(ValueError, match=r"shape \(D, T\)"):
        AR1Prior(latent)


def test_rates_out_of_range_are_refused():
    with pytest.raises(ValueError, match="fastest <= slowest < 1"):
        AR1Prior((2, 3), slowest=1.0)
