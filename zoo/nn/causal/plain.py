"""Masked convolutions in sequence, those of PixelHVAE (Tomczak & Welling 2017), arXiv:1705.07120.

    h = relu(norm(conv3_A(x) + conv3(context)))
    h = relu(norm(conv3_B(h)))                  once per further layer
    features = conv1(h)

norm is batch normalisation: p(x) is a density in evaluation mode only, where it uses its running averages.
As in `PixelCNN`, the masked windows leave a blind spot.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.nn.causal.convolution import masked_conv
from zoo.nn.causal.network import CausalNetwork
from zoo.nn.causal.places import Place


class PlainPixelCNN(CausalNetwork):
    """See the module's docstring.

    Args:
        image_shape: (C, H, W).
        features: F, of what is returned at each pixel.
        channels: of every layer.
        layers: masked 3 x 3 convolutions, one at least.
        groups: see `CausalNetwork`.
        context: shape of one context, a map (K, H, W).
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        features: int,
        *,
        channels: int = 64,
        layers: int = 8,
        groups: int = 1,
        context: Sequence[int] | None = None,
    ) -> None:
        super().__init__(image_shape, groups=groups, context=context, margin=1)
        self.out_shape = (features, *self.event_shape[1:])
        sizes = [self.event_shape[0], *[channels] * layers]
        self.convolutions: Any = nn.ModuleList(
            masked_conv(c, channels, 3, kind="B" if i else "A", groups=groups, reads_image=not i)
            for i, c in enumerate(sizes[:-1])
        )
        for convolution in self.convolutions:
            convolution.register_parameter("bias", None)  # the normalisation has one
        self.norms = nn.ModuleList(BatchNorm(channels) for _ in range(layers))
        self.context: Any = None
        if self.context_shape is not None:
            self.context = nn.Conv2d(self.context_shape[0], channels, 3, padding=1, bias=False)
        self.last = masked_conv(channels, features, 1, kind="B", groups=groups)

    def features(self, x: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """Features at a place."""
        h = x
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            h = convolution(h, at)
            if i == 0 and self.context is not None and context is not None:
                h = h + at.fixed(self.context, context)
            h = norm(h).relu()
        return self.last(h, at)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of maps (N, C, H, W), and of single pixels (N, C) when an image is drawn."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass
