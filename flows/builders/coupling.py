"""Flows made only of couplings: NICE and RealNVP."""

import math
from collections.abc import Sequence
from typing import Any

from flows.act_norm import ActNorm
from flows.builders.steps import require_no_scales
from flows.composed import Composed
from flows.coupling import AdditiveCoupling, AffineCoupling
from flows.flow import Flow, Shape, as_shape
from flows.multi_scale import halvings, multi_scale
from flows.partitions import Alternate, checkerboard
from flows.reshape import Reshape
from flows.scaling import Scaling


def nice(
    event_shape: int | Sequence[int],
    *,
    layers: int = 4,
    hidden: Sequence[int] = (128, 128),
    context: int | None = None,
) -> Composed:
    """NICE (Dinh, Krueger & Bengio 2014), arXiv:1410.8516: additive couplings and one factor a dimension.

    The odd and the even features alternate in determining the shift of the others. Images are treated as
    vectors.

    Args:
        event_shape: D or (C, H, W).
        layers: number of couplings; 4 as in the paper.
        hidden: widths of each network; the paper has five times 1000.
        context: length of one context, if there is any.

    Raises:
        ValueError: if there is one dimension.

    >>> nice(2, layers=2).event_shape
    (2,)
    """
    shape = as_shape(event_shape)
    size = math.prod(shape)
    flows: list[Flow] = [Scaling(size)]
    for layer in range(layers):
        partition = Alternate((size,), flip=layer % 2 == 1)
        flows.append(AdditiveCoupling(size, mask=partition, hidden=hidden, context=context))
    if len(shape) == 1:
        return Composed(flows)
    return Composed([Reshape(shape, size), *flows, Reshape(size, shape)])


def real_nvp(
    event_shape: int | Sequence[int],
    *,
    layers: int | None = None,
    scales: int | None = None,
    hidden: Sequence[int] = (128, 128),
    bound: float | None = 3.0,
    context: int | Sequence[int] | None = None,
) -> Composed:
    """RealNVP (Dinh, Sohl-Dickstein & Bengio 2016), arXiv:1605.08803: affine couplings that take turns.

    Of images it is the paper's multi-scale flow: read from the image, each scale has couplings of
    checkerboards, a squeeze, couplings of channels, and half of the channels leave; the last scale has
    checkerboards only, one more than the others. `ActNorm` stands in the place of the paper's batch norm,
    plain convolutions in that of its residual networks, and log scales are bounded as in `AffineCoupling`.

    Args:
        event_shape: D or (C, H, W).
        layers: number of couplings of a vector, 6 by default; of an image, couplings in a group, 3 by default
            as in the paper.
        scales: of an image; as many as fit, but at most 3, by default.
        hidden: widths of each network, or channels.
        bound: of a coupling's log scales.
        context: shape of one context, if there is any; a map's resolution is that of the image.

    Raises:
        ValueError: if the image cannot be halved as often, if there is one dimension or one pixel, or if
            a vector is to have scales.

    >>> real_nvp((1, 28, 28), layers=1, hidden=(8,)).event_shape
    (1, 28, 28)
    """
    shape = as_shape(event_shape)

    def couplings(shape: Shape, count: int, partition: Any = None) -> list[AffineCoupling]:
        options: dict[str, Any] = {"hidden": hidden, "bound": bound, "context": context}
        if partition is None:
            return [AffineCoupling(shape, flip=i % 2 == 1, **options) for i in range(count)]
        return [
            AffineCoupling(shape, mask=partition(shape, flip=i % 2 == 1), **options) for i in range(count)
        ]

    if len(shape) == 1:
        require_no_scales(shape, scales)
        return Composed(couplings(shape, 6 if layers is None else layers))
    group = 3 if layers is None else layers
    return multi_scale(
        shape,
        lambda shape: _normalised(couplings(shape, group)),
        outside=lambda shape: _normalised(couplings(shape, group, checkerboard)),
        last=lambda shape: _normalised(couplings(shape, group + 1, checkerboard)),
        scales=_default_scales(shape) if scales is None else scales,
    )


def _normalised(couplings: Sequence[AffineCoupling]) -> list[Flow]:
    return [flow for coupling in couplings for flow in (coupling, ActNorm(coupling.event_shape))]


def _default_scales(event_shape: Shape) -> int:
    """At most 3, and such that the last one has 2 pixels for a checkerboard."""
    halved = halvings(event_shape)
    _, height, width = event_shape
    if height * width == 4**halved:
        halved -= 1
    return min(3, 1 + max(0, halved))
