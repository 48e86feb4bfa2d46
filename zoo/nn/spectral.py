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

from zoo.nn.cells import LogNormConv2d

FIRST_ITERATIONS = 40
TINY = 1e-30


class SpectralNorms(nn.Module):
    """sum_i |W_i^T u_i|, a lower bound: u_i is near the left singular vector of the largest singular value.

    W is the weight that a convolution uses, weight normalisation and mask included, as a matrix with one row
    per output channel. u is a buffer: a resumed run has the same. Each call in training moves it by a few
    power iterations, u = W W^T u / |.|; the gradient in W is u v^T, v = W^T u / |.|.

    Args:
        modules: their convolutions count, each layer once; they do not become submodules.
        iterations: of the power method, per call.
    """

    def __init__(self, modules: Iterable[nn.Module], *, iterations: int = 4) -> None:
        super().__init__()
        self.iterations = iterations
        groups = defaultdict(list)
        for layer in convolutions(modules):
            groups[layer.weight.flatten(1).shape, isinstance(layer, LogNormConv2d)].append(layer)
        self._layers = tuple(tuple(layers) for layers in groups.values())
        for i, layers in enumerate(self._layers):
            u = _unit_vectors(len(layers), layers[0].out_channels).to(layers[0].weight)
            self.register_buffer(f"u_{i}", u)
        self.iterate(FIRST_ITERATIONS)

    def forward(self) -> Tensor:
        """The sum, a scalar; 0 without convolutions."""
        weights = self.weights()
        if self.training:
            self._iterate([w.detach() for w in weights], self.iterations)
        return sum((self._norms(w, i).sum() for i, w in enumerate(weights)), torch.zeros(()))

    @torch.no_grad()
    def iterate(self, times: int) -> None:
        """Move u by power iterations."""
        weights = self.weights()
        if not any(w.is_meta for w in weights):
            self._iterate(weights, times)

    def weights(self) -> list[Tensor]:
        """The matrices of every group of one shape, (layers, rows, columns)."""
        return [_stacked(layers) for layers in self._layers]

    @torch.no_grad()
    def _iterate(self, weights: list[Tensor], times: int) -> None:
        for i, w in enumerate(weights):
            u = self._vector(i).unsqueeze(1)  # (layers, 1, rows)
            transposed = w.transpose(1, 2)
            for _ in range(times):
                u = torch.bmm(torch.bmm(u, w), transposed)
                u = u / torch.linalg.vector_norm(u, dim=2, keepdim=True).clamp(min=TINY)
            self._vector(i).copy_(u.squeeze(1))

    def _norms(self, w: Tensor, i: int) -> Tensor:
        u = self._vector(i).clone()  # autograd keeps it, and it moves in place at the next call
        return torch.linalg.vector_norm(torch.bmm(u.unsqueeze(1), w), dim=(1, 2))

    def _vector(self, i: int) -> Any:
        return getattr(self, f"u_{i}")


class BatchNormScales(nn.Module):
    """sum_i max_c |gamma_ic| over batch normalisations i.

    Args:
        modules: their `nn.BatchNorm2d` count, each once; they do not become submodules.
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


def _stacked(layers: tuple[Any, ...]) -> Tensor:
    """The effective weights of layers of one shape; those with a log gain in a few operations for all."""
    if not isinstance(layers[0], LogNormConv2d):
        return torch.stack([effective(layer).flatten(1) for layer in layers])
    v = torch.stack([layer.direction().flatten(1) for layer in layers])
    gain = torch.stack([layer.log_gain for layer in layers]).exp().unsqueeze(2)
    return v * (gain / torch.linalg.vector_norm(v, dim=2, keepdim=True))


def convolutions(modules: Iterable[nn.Module]) -> list[Any]:
    """The convolutions in the modules, each once."""
    return found(modules, nn.Conv2d)


def found(modules: Iterable[nn.Module], kind: type) -> list[Any]:
    """The submodules of a class, each once."""
    return list(dict.fromkeys(m for module in modules for m in module.modules() if isinstance(m, kind)))


def _unit_vectors(n: int, length: int) -> Tensor:
    """Random directions, by a generator of their own: the global one stays as it was."""
    generator = torch.Generator().manual_seed(0)
    return normalize(torch.randn(n, length, generator=generator, device="cpu"), dim=1)
