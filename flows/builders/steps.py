"""Steps and checks shared by several builders."""

from collections.abc import Callable

from flows.act_norm import ActNorm
from flows.flow import Flow, Shape
from flows.invertible_convolution import InvertibleConv
from flows.multi_scale import halvings


def mixed(coupling: Flow) -> list[Flow]:
    """A step of Glow around a coupling: read as density, a normalisation, a linear map, the coupling.

    The linear map is turned so that the density has its matrix, and only samples need the inverse; one
    channel has nothing to mix.
    """
    shape = coupling.event_shape
    linear = [InvertibleConv(shape).inv] if shape[0] > 1 else []
    return [coupling, *linear, ActNorm(shape)]


def alternated(make: Callable[[bool], Flow], count: int) -> list[Flow]:
    """`mixed` steps around couplings that take turns: ``make(flip)``."""
    return [flow for i in range(count) for flow in mixed(make(i % 2 == 1))]


def require_no_scales(shape: Shape, scales: int | None) -> None:
    """Check that a vector is not to have scales.

    Raises:
        ValueError: if it is.
    """
    if scales is not None:
        raise ValueError(f"scales are for images, (C, H, W); got scales={scales} for vectors of {shape[0]}")


def require_even(shape: Shape, name: str) -> None:
    """Check that an image can be squeezed.

    Raises:
        ValueError: if a side is odd.
    """
    if not halvings(shape):
        raise ValueError(
            f"{name} squeezes images, which needs an even height and width; got {shape[1]} x {shape[2]}. "
            "Pad the image, or take real_nvp, which has a use for odd sides"
        )
