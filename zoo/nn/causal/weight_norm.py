"""The initialisation of causal networks' weight-normalised layers by data (`zoo.nn.weight_norm`).

Given a batch, g and the bias are set so that each output channel has mean 0 and a standard deviation of
choice on it.
"""

from typing import Any

import torch
from torch import Tensor

from zoo.nn.causal.places import Place
from zoo.nn.weight_norm import standardise


def initialise(network: Any, x: Tensor, context: Tensor | None = None) -> None:
    """Initialise a network's weight-normalised layers on a batch, in the order in which they are evaluated.

    Afterwards every such layer's output has mean 0 on the batch and standard deviation `scale` of the layer:
    1, or 0.1 in front of a gate. Nothing else ever does this: not training, not evaluation. In training mode
    dropout acts meanwhile, as in the code of PixelCNN++. `zoo.initialise` does it for a model and its guide.

    Args:
        network: a `CausalNetwork` with weight normalisation, `PixelCNNpp`.
        x: (N, C, H, W), some dozens of images.
        context: theirs, if the network takes one.

    Raises:
        ValueError: if no layer of the network is weight-normalised, or an output is not finite.
    """
    if not any(getattr(module, "gain", None) is not None for module in network.modules()):
        raise ValueError(
            f"expected a network with weight-normalised layers, as weight_norm=True makes them; "
            f"got a {type(network).__name__} that has none"
        )
    with torch.no_grad():
        network.features(network.embed(x), context, _Standardising())
    network.initialised.fill_(True)


class _Standardising(Place):
    """Everywhere, but every layer's output is standardised before it is used."""

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """The standardised output."""
        if conv.gain is not None:
            standardise(conv, conv.inside(conv.everywhere(x)), conv.scale)
        return conv.everywhere(x)
