"""Samplers of autoregressive distributions, from noise; all of them find the same sample.

One pass of the network determines the value at each site from the values at the sites before it,
x_s = f_s(x_<s, noise_s). So the sample is the one fixed point of x = f(x, noise).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distributions.draws import draw
from distributions.fixed_point import iterate


@dataclass
class SamplingTask:
    r"""The arguments of a sampler.

    Attributes:
        network, head: features of x, and the distribution they give; see `Autoregressive`.
        context: (N, \*context_shape), or None.
        noise: uniforms (N, U, \*space).
        start: x (N, C, \*space) at first; it keeps its values where it is not free.
        free: boolean, of x's shape: what is to be drawn.
        progress: called now and then with the share that is done, up to 1.
    """

    network: Any
    head: Callable[[Tensor], Any]
    context: Tensor | None
    noise: Tensor
    start: Tensor
    free: Tensor
    progress: Callable[[float], None]

    def step(self, x: Tensor) -> Tensor:
        """f(x, noise): right at every site before which x is right."""
        drawn = draw(self.head(self.network(x, self.context)), self.noise)
        return torch.where(self.free, drawn, x)

    def rows(self, index: Tensor) -> "SamplingTask":
        """The task of some of the samples."""
        context = None if self.context is None else self.context[index]
        parts = (self.noise[index], self.start[index], self.free[index])
        return SamplingTask(self.network, self.head, context, *parts, self.progress)


Sampler = Callable[[SamplingTask], Tensor]


def no_progress(share: float) -> None:
    """Ignores the progress of a sampler."""


def ancestral(task: SamplingTask) -> Tensor:
    """Site after site, one pass each: the definition, and the slowest."""
    x, sites = task.start, task.network.sites
    count = int(sites.max()) + 1
    for site in range(count):
        x = torch.where(sites == site, task.step(x), x)
        task.progress((site + 1) / count)
    return x


def fixed_point(task: SamplingTask) -> Tensor:
    """Iterate x <- f(x, noise) until nothing changes (`distributions.fixed_point`)."""
    return iterate(
        lambda x, index: task.rows(index).step(x),
        task.start,
        passes=int(task.network.sites.max()) + 1,
        moved=lambda old, new: (new != old).flatten(1).any(1),
        progress=task.progress,
    )
