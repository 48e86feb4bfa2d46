"""Glow: couplings with invertible 1x1 convolutions between them."""

from collections.abc import Sequence

from flows.builders.steps import mixed, require_even, require_no_scales
from flows.composed import Composed
from flows.coupling import AffineCoupling
from flows.flow import Flow, Shape, as_shape
from flows.multi_scale import halvings, multi_scale


def glow(
    event_shape: int | Sequence[int],
    *,
    depth: int = 4,
    scales: int | None = None,
    hidden: Sequence[int] = (128, 128),
    bound: float | None = 2.0,
    context: int | Sequence[int] | None = None,
) -> Composed:
    """Glow (Kingma & Dhariwal 2018), arXiv:1807.03039.

    Read from the image, a scale is a squeeze and ``depth`` times a normalisation, a 1x1 convolution and an
    affine coupling; then half of the channels leave. One more coupling, whose network is a single
    convolution, precedes that: given the other half, those that leave are normal with a learned mean and
    scale. The paper's scale sigmoid(s + 2) is a bounded exp(s) here (`AffineCoupling`), which starts at 1.
    Vectors get the same steps, with a linear map for the convolution, and no scales.

    Args:
        event_shape: D or (C, H, W).
        depth: K, steps of a scale; the paper has 32.
        scales: L, of an image; as many as fit, but at most 3, by default.
        hidden: channels of the 3x3, 1x1, ..., 3x3 convolutions; the paper has (512, 512). Or widths.
        bound: of a coupling's log scales.
        context: shape of one context, if there is any; a map's resolution is that of the image.

    Raises:
        ValueError: if the image cannot be halved as often, or once; or if a vector is to have scales.

    >>> glow((3, 8, 8), depth=1, hidden=(8,)).event_shape
    (3, 8, 8)
    """
    shape = as_shape(event_shape)

    def coupling(shape: Shape, hidden: Sequence[int] = hidden) -> AffineCoupling:
        return AffineCoupling(shape, hidden=hidden, bound=bound, context=context)

    def mixed_steps(shape: Shape) -> list[Flow]:
        return [flow for _ in range(depth) for flow in mixed(coupling(shape))]

    if len(shape) == 1:
        require_no_scales(shape, scales)
        return Composed(mixed_steps(shape))
    if scales is None:
        require_even(shape, "glow")
        scales = min(3, halvings(shape))
    return multi_scale(shape, lambda shape: [coupling(shape, ()), *mixed_steps(shape)], scales=scales)
