"""The base of NVAE, VDVAE and IAF-VAE: one state runs down from the top, and every latent adds to it.

p(x, z)  = p(x | z) prod_i p(z_i | z_>i)
q(z | x) = prod_i q(z_i | x, z_>i)

Layers count upward from the image, 1 ... L, sites ``z_i``; the state h begins with a learned constant.

    x -> d_1 ... d_L          h -> z_L -> h -> z_{L-1} -> ... -> z_1 -> h -> x
                                   h, d_i -> q(z_i | x, z_>i)
"""

from collections.abc import Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from einops import repeat
from torch import Tensor, nn

from zoo.infer.guides import Guide
from zoo.infer.programs import Program, batch_plate, batch_size, latent
from zoo.nn.layers import Shape


class ResidualHierarchy(Program):
    """p(x, z); see the module's docstring.

    Args:
        start: called with a number of images, returns the state at the top (B, ...).
        layers: 1 ... L, each with

            - ``prior(h)``: the state further down, p(z_i | z_>i), and what of the state the guide sees;
            - ``update(h, z)``: the state with z_i in it.
        likelihood: called with the last state, returns p(x | z).
    """

    def __init__(self, start: nn.Module, layers: Sequence[nn.Module], likelihood: nn.Module) -> None:
        super().__init__()
        self.start = start
        self.layers: Any = nn.ModuleList(layers)
        self.likelihood = likelihood

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        """Observe the images x (B, C, H, W), or sample n of them."""
        with batch_plate():
            h = self.latents(batch_size(x, n))
            return pyro.sample("x", self.likelihood(h), obs=x)  # p(x | z)

    def latents(self, n: int) -> Any:
        """Sample z_L ... z_1 for n images; returns the last state."""
        h = self.start(n)
        for i in range(len(self.layers), 0, -1):
            layer = self.layers[i - 1]
            h, prior, shown = layer.prior(h)
            z = latent(f"z_{i}", prior, shown, layer=i)  # p(z_i | z_>i)
            h = layer.update(h, z)
        return h


class ResidualGuide(Guide):
    """q(z | x): one deterministic pass upward, then answers on the model's way down.

    Args:
        path: x to features d, a list.
        posteriors: 1 ... L, each called with ``(prior, h, d)``, h being what the model shows.
        sources: which of the features each of the posteriors sees, the i-th by default.
        model: see `Guide`.
    """

    def __init__(
        self,
        path: nn.Module,
        posteriors: Sequence[nn.Module],
        *,
        sources: Sequence[int] | None = None,
        model: Any = None,
    ) -> None:
        super().__init__(model)
        self.path = path
        self.posteriors: Any = nn.ModuleList(posteriors)
        self.index = {f"z_{i}": i - 1 for i in range(1, len(posteriors) + 1)}
        self.sources = list(range(len(posteriors)) if sources is None else sources)

    def encode(self, x: Tensor) -> Any:
        """All of the features: they depend on x only."""
        return self.path(x)

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(z_i | x, z_>i)."""
        i = self.index[name]
        return self.posteriors[i](prior, h, features[self.sources[i]])


class LearnedConstant(nn.Module):
    """The same learned features for every image.

    Args:
        shape: (C, H, W).
        initial: fills the parameter at first, in place.
    """

    def __init__(self, shape: Shape, initial: Any = nn.init.uniform_) -> None:
        super().__init__()
        self.value = nn.Parameter(initial(torch.empty(shape)))

    def forward(self, n: int) -> Tensor:
        """(n, C, H, W)."""
        return repeat(self.value, "c h w -> n c h w", n=n)


def bounded(x: Tensor, bound: float) -> Tensor:
    """The smooth clamp bound * tanh(x / bound): close to x where x is small, never beyond the bound."""
    return bound * torch.tanh(x / bound)


def bounded_normal(loc: Tensor, log_scale: Tensor) -> Any:
    """N(loc, exp(log_scale)^2), the log scale kept in (-10, 10), where no exponential overflows."""
    return dist.Normal(loc, bounded(log_scale, 10.0).exp()).to_event(3)
