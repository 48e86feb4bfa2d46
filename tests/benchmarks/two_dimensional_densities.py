"""Flows trained on two densities of the plane whose entropy is known.

    python -m tests.benchmarks.two_dimensional_densities [seed ...]     (pip install '.[bench]')

Prints E[-log q(x)] - entropy, the KL divergence in nats, over 20,000 new points after 1500 Adam steps of
256 points at a rate that falls from 5e-3 along a cosine: eight Gaussians on a ring of radius 2 (standard
deviation 0.2), a checkerboard on [-2, 2]^2. Networks have two hidden layers of 128.
"""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import torch
import zuko
from torch import Tensor, nn

from distributions import TransformedDistribution
from flows import Composed, SplineAutoregressive
from flows.builders import maf, real_nvp

HIDDEN, RATE, STEPS = (128, 128), 5e-3, 1500


def main(seeds: list[int]) -> None:
    """Train, measure and print."""
    torch.set_num_threads(1)
    print("| data | flow | KL, nats, of each seed | mean | CPU s |\n|---|---|---|---|---|")
    for data, (draw, entropy) in DATA.items():
        for name, make in FLOWS.items():
            started = time.process_time()
            gaps = [gap(make, draw, entropy, seed) for seed in seeds]
            seconds = (time.process_time() - started) / len(seeds)
            each = ", ".join(f"{g:.3f}" for g in gaps)
            mean = sum(gaps) / len(gaps)
            print(f"| {data} | {name} | {each} | {mean:.3f} | {seconds:.0f} |", flush=True)


def gap(make: Callable[[], Any], draw: Callable[[int], Tensor], entropy: float, seed: int) -> float:
    """KL(p || q) of a trained flow, by Monte Carlo."""
    torch.manual_seed(seed)
    parameters, log_prob = make()
    adam = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
    for _ in range(STEPS):
        adam.zero_grad()
        (-log_prob(draw(256)).mean()).backward()
        adam.step()
        schedule.step()
    with torch.no_grad():
        return -log_prob(draw(20_000)).mean().item() - entropy


def ring(n: int) -> Tensor:
    """Eight Gaussians."""
    angle = torch.randint(8, (n,)) * math.pi / 4
    return 2 * torch.stack([angle.cos(), angle.sin()], -1) + 0.2 * torch.randn(n, 2)


def checkerboard(n: int) -> Tensor:
    """Eight squares of side 1 within [-2, 2]^2, uniform: the entropy is ln 8."""
    column = torch.randint(4, (n,))
    row = 2 * torch.randint(2, (n,)) + column % 2
    return torch.stack([column, row], -1) - 2 + torch.rand(n, 2)


def ours(flow: Any) -> Any:
    """Parameters and log density."""
    p = TransformedDistribution(dist.Normal(torch.zeros(2), 1.0).to_event(1), [flow])
    return list(flow.parameters()), p.log_prob


def zukos(flow: nn.Module) -> Any:
    """Parameters and log density."""
    return list(flow.parameters()), lambda x: flow().log_prob(x)


def splines() -> Composed:
    """Three autoregressive splines, read as densities in one pass, the order reversed in between."""
    return Composed([SplineAutoregressive(2, hidden=HIDDEN, reverse=i % 2 == 1).inv for i in range(3)])


DATA = {"ring": (ring, 1.6981), "checkerboard": (checkerboard, math.log(8))}
FLOWS: dict[str, Callable[[], Any]] = {
    "RealNVP, 8 layers": lambda: ours(real_nvp(2, layers=8, hidden=HIDDEN)),
    "RealNVP, 8 layers, zuko": lambda: zukos(zuko.flows.RealNVP(2, transforms=8, hidden_features=HIDDEN)),
    "MAF, 5 layers": lambda: ours(maf(2, layers=5, hidden=HIDDEN)),
    "MAF, 5 layers, zuko": lambda: zukos(zuko.flows.MAF(2, transforms=5, hidden_features=HIDDEN)),
    "autoregressive splines, 3 layers": lambda: ours(splines()),
    "autoregressive splines, 3 layers, zuko": lambda: zukos(
        zuko.flows.NSF(2, transforms=3, hidden_features=HIDDEN)
    ),
}

if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [0, 1, 2])
