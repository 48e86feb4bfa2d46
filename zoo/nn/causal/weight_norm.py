"""Weight normalisation (Salimans & Kingma 2016, arXiv:1602.07868) and its initialisation by data.

    W_f = g_f v_f / |v_f|     of every output channel f

Given a batch, g and the bias are set so that each output channel has mean 0 and a standard deviation of
choice on it.
"""

from typing import Any

import torch
from torch import Tensor, nn

from zoo.nn.causal.places import Place


def gain_of(weight: Tensor, dim: int = 0) -> nn.Parameter:
    """The g with which W = v at first, (F,); `dim` is that of the output channels."""
    return nn.Parameter(_norm(weight.detach(), dim).flatten())


def normalised(weight: Tensor, gain: Tensor | None, dim: int = 0) -> Tensor:
    """W of v and g; without a gain v itself."""
    if gain is None:
        return weight
    norm = _norm(weight, dim)
    return weight * (gain.view_as(norm) / norm)


def initialise(network: Any, x: Tensor, context: Tensor | None = None) -> None:
    """Initialise a network's weight-normalised layers on a batch, in the order in which they are evaluated.

    Afterwards every such layer's output has mean 0 on the batch and standard deviation `scale` of the layer:
    1, or 0.1 in front of a gate. Nothing else ever does this: not training, not evaluation. In training mode
    dropout acts meanwhile, as in the code of PixelCNN++.

    Args:
        network: a `CausalNetwork` with weight normalisation.
        x: (N, C, H, W), some dozens of images.
        context: theirs, if the network takes one.

    Raises:
        ValueError: if no layer of the network is weight-normalised.
    """
    if not any(getattr(module, "gain", None) is not None for module in network.modules()):
        raise ValueError(
            f"expected a network with weight-normalised layers, as weight_norm=True makes them; "
            f"got a {type(network).__name__} that has none"
        )
    with torch.no_grad():
        network.features(network.embed(x), context, _Standardising())


class _Standardising(Place):
    """Everywhere, but every layer's output is standardised before it is used."""

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """The standardised output."""
        if conv.gain is not None:
            standardise(conv, conv.inside(conv.everywhere(x)))
        return conv.everywhere(x)


def standardise(conv: Any, y: Tensor) -> None:
    """Set gain and bias so that the outputs y would have had mean 0 and deviation `conv.scale`.

    Channels that do not vary are centred only.
    """
    if not y.numel():
        return
    mean, deviation = y.mean((0, 2, 3)), y.std((0, 2, 3), correction=0)
    factor = torch.where(deviation > 1e-5, conv.scale / deviation, 1.0)
    conv.gain.mul_(factor)
    conv.bias.sub_(mean).mul_(factor)


def _norm(weight: Tensor, dim: int) -> Tensor:
    others = [d for d in range(4) if d != dim]
    return torch.linalg.vector_norm(weight, dim=others, keepdim=True)
