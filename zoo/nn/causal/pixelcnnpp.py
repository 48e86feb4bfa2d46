"""PixelCNN++ (Salimans, Karpathy, Chen & Kingma 2017), arXiv:1701.05517.

Two streams of gated residual blocks, `zoo.nn.causal.streams`, at three resolutions. u sees the rows above,
ul what is to the left as well, and u:

    u  = down(conv2x3([x, 1]))                             -> blocks of 2 x 3, ending in the pixel's row
    ul = down(conv1x3([x, 1])) + right(conv2x1([x, 1]))    -> blocks of 2 x 2, ending at the pixel
    features = conv1(elu(ul))

``down`` and ``right`` shift by a row and a column. All layers are weight-normalised; `zoo.initialise` sets
them by a batch. Images of any size: where a side is odd, the last row or column of the transposed
convolutions is cut off. At fewer than 3 blocks a resolution some earlier pixels of small images are out of
sight.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.conversion import Probability
from zoo.nn.activations import elu
from zoo.nn.causal.convolution import CausalConv2d, DoublingConv2d, ShiftedConv2d
from zoo.nn.causal.network import CausalNetwork
from zoo.nn.causal.places import Place
from zoo.nn.causal.streams import Layers, Stream, Trace
from zoo.nn.weight_norm import standardise


class PixelCNNpp(CausalNetwork):
    """See the module's docstring.

    Args:
        image_shape: (C, H, W); the paper's values are in [-1, 1].
        features: F, of what is returned at each pixel; 10 K for K logistic components of RGB.
        channels: of both streams.
        resnets: blocks of each stream at each resolution of the way up.
        resolutions: 1 more than the times the resolution is halved.
        dropout: probability, in the blocks.
        weight_norm: whether the layers are weight-normalised.
        context: shape of one context, (K,) or (K, H, W); h W is added inside every gate, of a map the
            average over what a pixel of the lower resolutions stands for.

    Raises:
        ValueError: if there is no resolution, or if the context is a map of another size than the image.
    """

    initialised: Tensor | None

    def __init__(
        self,
        image_shape: Sequence[int],
        features: int,
        *,
        channels: int = 160,
        resnets: int = 5,
        resolutions: int = 3,
        dropout: Probability = 0.5,
        weight_norm: bool = True,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(image_shape, context=context, margin=2)
        if resolutions < 1:
            raise ValueError(f"expected at least 1 resolution; got {resolutions}")
        self.out_shape = (features, *self.event_shape[1:])
        first = partial(ShiftedConv2d, self.event_shape[0] + 1, channels, weight_norm=weight_norm)
        self.u_above = first((2, 3), shift=(1, 0))
        self.ul_above = first((1, 3), shift=(1, 0))
        self.ul_left = first((2, 1), shift=(0, 1))
        stream = partial(Stream, channels=channels, resnets=resnets, resolutions=resolutions, dropout=dropout)
        self.u = stream(self._layers(3, weight_norm), beside=0)
        self.ul = stream(self._layers(2, weight_norm), beside=1)
        self.last = pointwise(channels, features, weight_norm=weight_norm)
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool) if weight_norm else None)

    @property
    def needs_initialisation(self) -> bool:
        """Whether the layers are weight-normalised and no batch has set them yet."""
        return self.initialised is not None and not self.initialised

    def standardise(self, x: Tensor, context: Tensor | None = None, *, scale: float) -> None:
        """Initialise the layers by images, for `zoo.initialise`; each has its own scale."""
        initialise(self, x, context)

    def embed(self, x: Tensor) -> Tensor:
        """The image with a channel of ones, which distinguishes it from its padding."""
        return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)

    def features(self, x: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """Features at a place."""
        above, u = at.once_a_row(self.vertical, x, context)
        ul, _ = self.ul(at.here(above) + self.ul_left(x, at), context, at, u)
        return self.last(elu(ul), at)

    def vertical(self, x: Tensor, context: Tensor | None, at: Place) -> tuple[Tensor, Trace]:
        """What the ul stream gets of the rows above."""
        _, u = self.u(self.u_above(x, at), context, at)
        return self.ul_above(x, at), u

    def _layers(self, width: int, weight_norm: bool) -> Layers:
        """Those of windows 2 x 3 of the u stream, or 2 x 2 of the ul stream."""
        return Layers(
            conv=partial(CausalConv2d, window=(2, width), top=1, left=1, weight_norm=weight_norm),
            pointwise=partial(pointwise, weight_norm=weight_norm),
            doubling=partial(DoublingConv2d, width=width, weight_norm=weight_norm),
            condition=self._condition,
        )

    def _condition(self, channels: int, depth: int) -> nn.Module | None:
        if self.context_shape is None:
            return None
        if len(self.context_shape) == 3 and self.context_shape[1:] != self.event_shape[1:]:
            raise ValueError(
                f"expected a context that is a vector or a map of the image's size {self.event_shape[1:]}; "
                f"got the shape {self.context_shape}"
            )
        return CoarseContextProjection(self.context_shape, channels, depth)


class CoarseContextProjection(nn.Module):
    """h W at a resolution that was halved, without a bias.

    Args:
        context: shape of one context, (K,) or (K, H, W).
        channels: D.
        depth: how many times the resolution was halved, rounded up.

    Shapes: (N, K) -> (N, D, 1, 1); (N, K, H, W) -> (N, D, H', W').
    """

    def __init__(self, context: tuple[int, ...], channels: int, depth: int) -> None:
        super().__init__()
        self.linear: Any = nn.Conv2d(context[0], channels, 1, bias=False)
        self.factor = 2**depth

    def forward(self, context: Tensor) -> Tensor:
        """The projected context."""
        if context.dim() == 2:
            return self.linear(context[..., None, None])
        return self.linear(F.avg_pool2d(context, self.factor, ceil_mode=True))


def pointwise(in_channels: int, out_channels: int, *, weight_norm: bool) -> CausalConv2d:
    """A 1x1 convolution."""
    return CausalConv2d(in_channels, out_channels, (1, 1), top=0, left=0, weight_norm=weight_norm)


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
