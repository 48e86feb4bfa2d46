"""Flow++: couplings of mixtures of logistics."""

from collections.abc import Sequence
from typing import Any

from flows.builders.steps import alternated, require_even
from flows.composed import Composed
from flows.flow import Shape, as_shape
from flows.logistic_mixture_coupling import LogisticMixtureCoupling
from flows.nn.gated_conv import GatedConvNet
from flows.nn.parameters import stacked
from flows.partitions import Halves, Partition, checkerboard
from flows.squeeze import Squeeze
from flows.univariate import LogisticMixture


def flow_plus_plus(
    event_shape: int | Sequence[int],
    *,
    layers: Sequence[int] = (4, 2, 3),
    components: int = 8,
    width: int = 32,
    blocks: int = 2,
    heads: int = 0,
    context: int | Sequence[int] | None = None,
) -> Composed:
    """Flow++ (Ho et al. 2019), arXiv:1902.00275: log_prob is one pass, a sample a search in each coupling.

    Read from the image: couplings of checkerboards, a squeeze, couplings of channels, and of checkerboards;
    before each a normalisation and a 1x1 convolution, as in Glow. The networks are gated residual
    convolutions (`flows.nn.gated_conv`). Vectors get couplings of halves with dense networks, as many in all.

    Args:
        event_shape: D or (C, H, W).
        layers: numbers of couplings, as above; the paper's are those of the default.
        components: of the mixtures; the paper has 32.
        width: channels of the networks; the paper has 96.
        blocks: of the networks; the paper has 10.
        heads: of the attention after every block of an image's networks; 0 for none. The paper has 4.
        context: shape of one context, if there is any; a map's resolution is that of the image.

    Raises:
        ValueError: if a side of the image is odd, or if there is one dimension.

    >>> flow_plus_plus((1, 4, 4), layers=(1, 1, 1), width=4, blocks=1).event_shape
    (1, 4, 4)
    """
    shape = as_shape(event_shape)
    of_pixels, of_channels, of_squeezed_pixels = layers

    def dense(flip: bool) -> LogisticMixtureCoupling:
        return LogisticMixtureCoupling(
            shape, components=components, flip=flip, hidden=[width] * blocks, context=context
        )

    def convolutional(shape: Shape, partition: Partition) -> LogisticMixtureCoupling:
        size = LogisticMixture(components).size
        net = GatedConvNet(
            partition.kept_shape,
            stacked(partition.changed_shape, size),
            width=width,
            blocks=blocks,
            heads=heads,
            context=None if context is None else as_shape(context),
        )
        return LogisticMixtureCoupling(shape, components=components, mask=partition, net=net, context=context)

    def alternating(shape: Shape, partition: Any, count: int) -> list[Any]:
        return alternated(lambda flip: convolutional(shape, partition(shape, flip=flip)), count)

    if len(shape) == 1:
        return Composed(alternated(dense, sum(layers)))
    require_even(shape, "flow_plus_plus")
    squeeze = Squeeze(shape)
    return Composed(
        [
            squeeze,
            *alternating(squeeze.event_shape, checkerboard, of_squeezed_pixels),
            *alternating(squeeze.event_shape, Halves, of_channels),
            squeeze.inv,
            *alternating(shape, checkerboard, of_pixels),
        ]
    )
