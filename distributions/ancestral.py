"""How samples of autoregressive distributions are found from noise; every way finds the same.

One pass of the network tells the value at each site if all sites before it are right,
x_s = f_s(x_<s, noise_s). So the sample is the one fixed point of x = f(x, noise).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distributions.draws import draw


@dataclass
class Task:
    r"""A sample that is to be found.

    Attributes:
        network, head: features of x, and the distribution they give; see `Autoregressive`.
        context: (N, \*context_shape), or None.
        noise: uniforms (N, U, \*space).
        start: x (N, C, \*space) at first; where it is not free, for good.
        free: boolean, of x's shape: what is to be drawn.
        progress: told the share that is done, up to 1, now and then.
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

    def rows(self, index: Tensor) -> "Task":
        """Of some of the samples."""
        context = None if self.context is None else self.context[index]
        parts = (self.noise[index], self.start[index], self.free[index])
        return Task(self.network, self.head, context, *parts, self.progress)


Sampler = Callable[[Task], Tensor]


def unwatched(share: float) -> None:
    """Nobody wants to know how far a sample is."""


def ancestral(task: Task) -> Tensor:
    """Site after site, one pass each: the definition, and the slowest."""
    x, sites = task.start, task.network.sites
    count = int(sites.max()) + 1
    for site in range(count):
        x = torch.where(sites == site, task.step(x), x)
        task.progress((site + 1) / count)
    return x


def fixed_point(task: Task) -> Tensor:
    """Iterate x <- f(x, noise) until nothing changes; after n passes the first n sites are right.

    Jacobi's iteration (Song et al. 2020, arXiv:2002.03629; Wiggers & Hoogeboom 2020, arXiv:2002.09928): at
    most one pass a site, mostly far fewer. Samples that are found are left out of the passes to come.
    """
    x = task.start.clone()
    active = torch.arange(len(x), device=x.device)
    for _ in range(int(task.network.sites.max()) + 1):
        before = x[active]
        after = task.rows(active).step(before)
        x[active] = after
        changed = (after != before).flatten(1).any(1)
        active = active[changed]
        task.progress(1 - len(active) / len(x))
        if not len(active):
            break
    return x
