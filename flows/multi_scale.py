"""Multi-scale flows: at every scale some channels are factored out, the others continue."""

from collections.abc import Callable, Sequence

from torch import Tensor

from flows.composed import Composed
from flows.flow import Flow, Pass, Shape
from flows.partitions import joined
from flows.squeeze import Squeeze, as_image_shape

Steps = Callable[[Shape], Sequence[Flow]]


class OnChannels(Flow):
    r"""A flow of the first channels of an image, or features of a vector; the others stay as they are.

    Forward:    y = (f(x_1), x_2);  log |det| that of f

    Args:
        flow: f, of (C', H, W) or D', which returns events of the shape that it takes.
        channels: C or D, all of them.

    Raises:
        ValueError: if f changes the shape, or takes more channels than there are.
    """

    def __init__(self, flow: Flow, channels: int) -> None:
        taken, *pixels = flow.event_shape
        if flow.in_shape != flow.event_shape:
            raise ValueError(
                f"expected a flow that keeps the shape; got one from {flow.in_shape} to {flow.event_shape}"
            )
        if taken > channels:
            raise ValueError(f"expected a flow of at most {channels} channels; got one of {taken}")
        super().__init__((channels, *pixels), context=flow.context_shape)
        self.flow = flow
        self.sizes, self.dim = (taken, channels - taken), -len(flow.event_shape)

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        first, others = x.split(self.sizes, dim=self.dim)
        changed, log_det = self.flow._forward(first, context)
        return joined([changed, others], dim=self.dim), log_det

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        first, others = y.split(self.sizes, dim=self.dim)
        changed, log_det = self.flow._backward(first, context)
        return joined([changed, others], dim=self.dim), log_det


def multi_scale(
    event_shape: Sequence[int],
    steps: Steps,
    *,
    scales: int,
    outside: Steps | None = None,
    last: Steps | None = None,
) -> Composed:
    r"""A flow of images over several scales (RealNVP, arXiv:1605.08803, section 3.6; Glow, arXiv:1807.03039).

    Read as density, from the image to the noise, a scale is: the flows ``outside``, a squeeze, ``steps``.
    Half of the channels are then left as they are, this scale's latents; the next scale takes the others.
    Unlike in the papers the latents are put back to where they come from: noise and image have one shape, and
    the base is a standard normal of it.

    Args:
        event_shape: (C, H, W).
        steps: the flows of a scale, first to last from noise to image, for the shape that a squeeze returns.
        scales: how many, 1 or more; 1 for no split.
        outside: the flows of a scale before it is squeezed, for that shape; none by default.
        last: all flows of the last scale, instead of a squeeze and ``steps``, as in RealNVP.

    Raises:
        ValueError: if the image cannot be halved as often.
    """
    require_halvings(event_shape, scales - (last is not None), scales=scales)
    if scales == 1 and last is not None:
        return Composed(last(as_image_shape(event_shape)))
    squeeze = Squeeze(event_shape)
    channels, *pixels = squeeze.event_shape
    remaining = (channels // 2, *pixels)
    deeper = (
        [] if scales == 1 else [multi_scale(remaining, steps, scales=scales - 1, outside=outside, last=last)]
    )
    return Composed(
        [
            squeeze,
            *(OnChannels(flow, channels) for flow in deeper),
            *steps(squeeze.event_shape),
            squeeze.inv,
            *(outside(squeeze.in_shape) if outside else ()),
        ]
    )


def halvings(event_shape: Sequence[int]) -> int:
    """How often the height and the width of an image can be halved."""
    _, height, width = as_image_shape(event_shape)
    count = 0
    while height % 2 == width % 2 == 0:
        height, width, count = height // 2, width // 2, count + 1
    return count


def require_halvings(event_shape: Sequence[int], needed: int, *, scales: int) -> None:
    """Check a number of scales.

    Raises:
        ValueError: if it is not positive, or if the image cannot be halved as often as they need.
    """
    if scales < 1:
        raise ValueError(f"expected 1 scale or more; got {scales}")
    possible, (_, height, width) = halvings(event_shape), event_shape
    if needed > possible:
        raise ValueError(
            f"{scales} scales halve the height and the width {needed} times; an image of {height} x {width} "
            f"can be halved {possible} times"
        )
