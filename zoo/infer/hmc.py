"""Hamiltonian Monte Carlo for many chains at once, each with a step size of its own (arXiv:1206.1901).

    H(u, v) = -log f(u) + |v|^2 / 2,   v ~ N(0, I)

The leapfrog begins and ends with half a drift, u += e/2 v, so that a trajectory of L kicks,
v += e grad log f, takes L gradients and one evaluation without. It is reversible and keeps volume; the
Metropolis test then leaves f invariant whatever the step size.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def leapfrog(
    gradient: Callable[[Tensor], Tensor], u: Tensor, v: Tensor, step: Tensor | float, steps: int
) -> tuple[Tensor, Tensor]:
    """The position and velocity after `steps` kicks; with -v from there it leads back.

    Args:
        gradient: of log f at u (N, D), (N, D).
        u: positions (N, D).
        v: velocities (N, D).
        step: e, one number or (N, 1).
        steps: L, at least 1.
    """
    u = u + step / 2 * v
    for kick in range(steps):
        v = v + step * gradient(u)
        u = u + (step if kick < steps - 1 else step / 2) * v
    return u, v


def acceptance(log_f: Tensor, v: Tensor, proposed_log_f: Tensor, proposed_v: Tensor) -> Tensor:
    """The Metropolis probability min(1, exp(H - H')), (N,) in float64; 0 where H' is not finite."""
    kinetic = (v.double().square().sum(1) - proposed_v.double().square().sum(1)) / 2
    probability = (proposed_log_f - log_f + kinetic).exp().clamp(max=1)
    return torch.where(proposed_log_f.isfinite(), probability, 0.0).nan_to_num(nan=0.0)


def adapted(log_step: Tensor, accepted: Tensor, target: float) -> Tensor:
    """Log step sizes (B,) moved towards a mean acceptance of `target`, from probabilities (chains, B)."""
    return log_step + (accepted.mean(0) - target)
