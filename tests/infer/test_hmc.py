"""Hamiltonian Monte Carlo on a density whose level sets are no ellipses."""

from itertools import pairwise

import torch

from zoo.infer.hmc import acceptance, adapted, leapfrog


def log_f(u):
    """Two coupled quartic wells."""
    return -(u.square().square().sum(1) / 4 + u.prod(1) + (u[:, 0] - 1).square())


def gradient(u):
    with torch.enable_grad():
        u = u.detach().requires_grad_()
        return torch.autograd.grad(log_f(u).sum(), u, create_graph=True)[0]


def some(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, 2, generator=generator, dtype=torch.float64).unbind()


def energy(u, v):
    return -log_f(u) + v.square().sum(1) / 2


def test_a_trajectory_leads_back():
    u, v = some()
    steps = torch.linspace(0.01, 0.3, 6, dtype=torch.float64)[:, None]
    end_u, end_v = leapfrog(gradient, u, v, steps, 7)
    back_u, back_v = leapfrog(gradient, end_u, -end_v, steps, 7)
    assert (end_u - u).abs().max() > 0.1
    torch.testing.assert_close(back_u, u, rtol=0, atol=1e-10)
    torch.testing.assert_close(-back_v, v, rtol=0, atol=1e-10)


def test_a_trajectory_keeps_volume():
    def move(state):
        u = state[None, :2].clone().requires_grad_()
        v = state[None, 2:]
        for kick in range(3):  # as `leapfrog`, with a gradient that can itself be differentiated
            u = u + (0.1 if kick == 0 else 0.2) * v
            v = v + 0.2 * torch.autograd.grad(log_f(u).sum(), u, create_graph=True)[0]
        return torch.cat([u + 0.1 * v, v], dim=1)[0]

    u, v = some(1)
    state = torch.cat([u, v], dim=1)[0]
    torch.testing.assert_close(move(state), torch.cat(leapfrog(gradient, u, v, 0.2, 3), dim=1)[0])
    jacobian = torch.autograd.functional.jacobian(move, state)
    torch.testing.assert_close(torch.linalg.det(jacobian), torch.ones((), dtype=torch.float64))


def test_the_error_of_the_energy_is_of_second_order():
    u, v = some(50)
    errors = [
        (energy(*leapfrog(gradient, u, v, 0.4 / n, n)) - energy(u, v)).abs().mean() for n in (16, 32, 64)
    ]
    for coarse, fine in pairwise(errors):
        assert 3.8 < coarse / fine < 4.2


def test_a_small_step_is_accepted_and_nothing_that_is_not_finite():
    u, v = some()
    end_u, end_v = leapfrog(gradient, u, v, 1e-4, 3)
    assert acceptance(log_f(u), v, log_f(end_u), end_v).min() > 1 - 1e-6
    bad = torch.tensor([torch.nan, torch.inf, -torch.inf], dtype=torch.float64)
    assert acceptance(log_f(u[:3]), v[:3], bad, v[:3]).tolist() == [0, 0, 0]
    lost = torch.full((6,), -torch.inf, dtype=torch.float64)  # every move from there is good
    assert acceptance(lost, v, log_f(u), v).tolist() == [1] * 6


def test_steps_shrink_below_the_target_and_grow_above():
    accepted = torch.tensor([[0.1, 0.9, 0.6], [0.3, 0.9, 0.7]])
    change = adapted(torch.zeros(3), accepted, 0.65)
    torch.testing.assert_close(change, torch.tensor([-0.45, 0.25, 0.0]), rtol=0, atol=1e-6)
