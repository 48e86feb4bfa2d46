"""Penalties on how much a network can amplify: spectral norms and batch normalisation's scales.

NVAE adds both, times lambda, to its loss (arXiv:2007.03898, section 3.2):

    sum_layers sigma_max(W) + sum_normalisations max_c |gamma_c|

sigma_max, the largest singular value, is followed by power iteration (arXiv:1802.05957), all layers of one
shape at once.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

FIRST_ITERATIONS = 40


class SpectralNorms(nn.Module):
    """sum_i u_i^T W_i v_i, u_i and v_i near the singular vectors of the largest singular value: from below.

    W is the weight that a convolution uses, weight normalisation and mask included, as a matrix of a row an
    output channel. u and v are buffers: a resumed run has the same. Each call in training moves them by a few
    power iterations, v = W^T u / |.|, u = W v / |.|; the gradient in W is u v^T.

    Args:
        modules: whose convolutions count, each layer once; they are not submodules of this one.
        iterations: a call.
    """

    def __init__(self, modules: Iterable[nn.Module], *, iterations: int = 4) -> None:
        super().__init__()
        self.iterations = iterations
        groups = defaultdict(list)
        for layer in convolutions(modules):
            groups[layer.weight.flatten(1).shape].append(layer)
        self._layers = tuple(tuple(layers) for layers in groups.values())
        for i, (shape, layers) in enumerate(groups.items()):
            for name, length in zip("uv", shape, strict=True):
                self.register_buffer(f"{name}_{i}", _unit_vectors(len(layers), length).to(layers[0].weight))
        self.iterate(FIRST_ITERATIONS)

    def forward(self) -> Tensor:
        """The sum, a scalar; 0 without convolutions."""
        weights = self.weights()
        if self.training:
            self._iterate([w.detach() for w in weights], self.iterations)
        return sum((self._norms(w, i).sum() for i, w in enumerate(weights)), torch.zeros(()))

    @torch.no_grad()
    def iterate(self, times: int) -> None:
        """Move u and v by power iterations."""
        weights = self.weights()
        if not any(w.is_meta for w in weights):
            self._iterate(weights, times)

    def weights(self) -> list[Tensor]:
        """The matrices of every shape, (layers, rows, columns)."""
        return [torch.stack([effective(layer).flatten(1) for layer in group]) for group in self._layers]

    @torch.no_grad()
    def _iterate(self, weights: list[Tensor], times: int) -> None:
        for i, w in enumerate(weights):
            u, v = self._vectors(i)
            for _ in range(times):
                v.copy_(normalize(torch.einsum("lrc,lr->lc", w, u), dim=1))
                u.copy_(normalize(torch.einsum("lrc,lc->lr", w, v), dim=1))

    def _norms(self, w: Tensor, i: int) -> Tensor:
        u, v = (vector.clone() for vector in self._vectors(i))  # kept by autograd, and moved in place later
        return torch.einsum("lr,lrc,lc->l", u, w, v)

    def _vectors(self, i: int) -> tuple[Any, Any]:
        return getattr(self, f"u_{i}"), getattr(self, f"v_{i}")


class BatchNormScales(nn.Module):
    """sum_i max_c |gamma_ic| over batch normalisations i.

    Args:
        modules: whose `nn.BatchNorm2d` count, each once; they are not submodules of this one.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        groups = defaultdict(list)
        for layer in found(modules, nn.BatchNorm2d):
            groups[layer.num_features].append(layer)
        self._layers = tuple(tuple(layers) for layers in groups.values())

    def forward(self) -> Tensor:
        """The sum, a scalar; 0 without batch normalisation."""
        scales = [torch.stack([layer.weight for layer in group]) for group in self._layers]
        return sum((gamma.abs().amax(1).sum() for gamma in scales), torch.zeros(()))


def effective(layer: Any) -> Tensor:
    """The weight that a layer uses."""
    return layer.effective() if hasattr(layer, "effective") else layer.weight


def convolutions(modules: Iterable[nn.Module]) -> list[Any]:
    """The convolutions in the modules, each once."""
    return found(modules, nn.Conv2d)


def found(modules: Iterable[nn.Module], kind: type) -> list[Any]:
    """The submodules of a class, each once."""
    return list(dict.fromkeys(m for module in modules for m in module.modules() if isinstance(m, kind)))


def _unit_vectors(n: int, length: int) -> Tensor:
    """The same random directions every time, for a resumed run replaces them anyway."""
    generator = torch.Generator().manual_seed(0)
    return normalize(torch.randn(n, length, generator=generator, device="cpu"), dim=1)
