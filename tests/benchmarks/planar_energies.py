"""Planar flows fitted to two energies of Rezende & Mohamed (2015), arXiv:1505.05770, table 1.

    python -m tests.benchmarks.planar_energies [seed ...]

Prints KL(q || p) in nats of eight layers, ours and Pyro's, p proportional to exp(-U), with log Z by
quadrature. U2 goes on for ever along z1; walls at |z1| = 3 make it a density.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import transforms
from torch import Tensor, nn

from distributions import rsample_and_log_prob
from flows.builders import planar

STEPS, BATCH, RATE, LAYERS = 4000, 256, 2e-2, 8


def main(seeds: list[int]) -> None:
    """Fit and print."""
    torch.set_num_threads(1)
    print("| energy | flow | KL, nats, of each seed | mean | CPU s |\n|---|---|---|---|---|")
    for energy in (ring, wave):
        for make in (ours, pyros):
            started = time.process_time()
            kls = [fitted(make, energy, seed) for seed in seeds]
            seconds = (time.process_time() - started) / len(seeds)
            each, mean = ", ".join(f"{kl:.3f}" for kl in kls), sum(kls) / len(kls)
            print(
                f"| {energy.__name__} | {make.__name__} | {each} | {mean:.3f} | {seconds:.0f} |", flush=True
            )


def ours() -> nn.ModuleList:
    """Of this library."""
    return nn.ModuleList([planar(2, layers=LAYERS)])


def pyros() -> nn.ModuleList:
    """Of Pyro."""
    return nn.ModuleList([transforms.Planar(2) for _ in range(LAYERS)])


def ring(z: Tensor) -> Tensor:
    """U1: a ring, heavy at both sides."""
    left, right = (torch.exp(-0.5 * ((z[..., 0] - at) / 0.6) ** 2) for at in (-2, 2))
    return 0.5 * ((z.norm(dim=-1) - 2) / 0.4) ** 2 - torch.log(left + right + 1e-30)


def wave(z: Tensor) -> Tensor:
    """U2: along a sine, between soft walls."""
    height = torch.sin(torch.pi * z[..., 0] / 2)
    return 0.5 * ((z[..., 1] - height) / 0.4) ** 2 + 2 * (z[..., 0].abs() - 3).relu() ** 2


def fitted(make: Callable[[], nn.ModuleList], energy: Callable[[Tensor], Tensor], seed: int) -> float:
    """KL by Monte Carlo after a fit by the reverse KL, U switched on slowly as in the paper's section 6.1."""
    torch.manual_seed(seed)
    flows = make()
    q = dist.TransformedDistribution(dist.Normal(torch.zeros(2), 1.0).to_event(1), list(flows))
    optimizer = torch.optim.Adam(flows.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        optimizer.zero_grad()
        beta = min(1.0, 0.01 + 2 * step / STEPS)
        free_energy(q, energy, BATCH, beta=beta).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return float(free_energy(q, energy, 200_000)) + log_z(energy)


def free_energy(q: Any, energy: Callable[[Tensor], Tensor], count: int, *, beta: float = 1.0) -> Tensor:
    """E_q[log q + beta U]."""
    z, log_q = rsample_and_log_prob(q, (count,))
    return (log_q + beta * energy(z)).mean()


def log_z(energy: Callable[[Tensor], Tensor]) -> float:
    """Of exp(-U), on a grid over [-8, 8]^2."""
    axis = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    return float(torch.logsumexp(-energy(grid).flatten(), 0) + 2 * torch.log(axis[1] - axis[0]))


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [0, 1, 2])
