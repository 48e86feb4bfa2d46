r"""Partitions of an event: the elements that a coupling leaves unchanged and those that it transforms.

A partition has ``split(x)``, the two parts (what the network sees, what changes), and
``join(kept, changed)``, the event again; ``kept_shape`` and ``changed_shape`` are the parts' shapes.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from flows.flow import Shape


class Partition(Protocol):
    """Protocol of partitions."""

    kept_shape: Shape
    changed_shape: Shape

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is kept and what changes."""

    def join(self, kept: Tensor, changed: Tensor) -> Tensor:
        """The event joined from both parts."""

    def log_det(self, terms: Tensor) -> Tensor:
        """Sum over one event of the changing elements' log derivatives."""


class Halves(nn.Module):
    """The first and the second half of the features of a vector, or of the channels of an image.

    Args:
        event_shape: (D,) or (C, H, W).
        flip: whether the first half is the one that changes.

    Raises:
        ValueError: if there is one feature or one channel.
    """

    def __init__(self, event_shape: Shape, *, flip: bool = False) -> None:
        super().__init__()
        size, *rest = event_shape
        if size < 2:
            what = "features" if not rest else "channels"
            raise ValueError(f"a coupling of halves needs at least 2 {what}; got {size}")
        self.dim = -len(event_shape)
        self.sizes, self.flip = (size // 2, size - size // 2), flip
        kept, changed = self.sizes[::-1] if flip else self.sizes
        self.kept_shape, self.changed_shape = (kept, *rest), (changed, *rest)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The half that is kept and the one that changes."""
        first, second = x.split(self.sizes, dim=self.dim)
        return (second, first) if self.flip else (first, second)

    def join(self, kept: Tensor, changed: Tensor) -> Tensor:
        """The event joined from both parts."""
        return joined([changed, kept] if self.flip else [kept, changed], dim=self.dim)

    def log_det(self, terms: Tensor) -> Tensor:
        """The sum of the log derivatives over the event."""
        return terms.sum(tuple(range(self.dim, 0)))


class Alternate(nn.Module):
    """Every other feature of a vector: the 1st, 3rd, 5th ... pass, as in NICE.

    Args:
        event_shape: (D,).
        flip: whether it is the 2nd, 4th ... that pass.

    Raises:
        ValueError: if there is one feature.
    """

    order: Tensor

    def __init__(self, event_shape: Shape, *, flip: bool = False) -> None:
        super().__init__()
        (size,) = event_shape
        if size < 2:
            raise ValueError(f"a coupling of alternate features needs at least 2 features; got {size}")
        self.flip = flip
        features = torch.arange(size)
        kept, changed = self.split(features)
        self.kept_shape, self.changed_shape = tuple(kept.shape), tuple(changed.shape)
        self.register_buffer("order", torch.cat([kept, changed]).argsort(), persistent=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What passes and what changes."""
        odd, even = x[..., 0::2], x[..., 1::2]
        return (even, odd) if self.flip else (odd, even)

    def join(self, kept: Tensor, changed: Tensor) -> Tensor:
        """The event joined from both parts."""
        return joined([kept, changed], dim=-1)[..., self.order]

    def log_det(self, terms: Tensor) -> Tensor:
        """The sum of the log derivatives over the event."""
        return terms.sum(-1)


class Masked(nn.Module):
    r"""Any elements of an event pass: those where a mask is true. The network sees zeros for the others.

    Args:
        mask: boolean, of the event's shape.
        validate: whether to look at its values, which a mask on the meta device has not.

    Raises:
        ValueError: if no element passes, or none changes.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, *, validate: bool = True) -> None:
        super().__init__()
        all_of_them = mask.numel()
        if validate and (passing := int(mask.sum())) in (0, all_of_them):
            raise ValueError(
                f"expected a mask that passes some elements and changes others; it passes {passing} of "
                f"{all_of_them}"
            )
        self.register_buffer("mask", mask.bool())
        self.kept_shape = self.changed_shape = tuple(mask.shape)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The event with zeros where it changes, and all of it."""
        return torch.where(self.mask, x, 0.0), x

    def join(self, kept: Tensor, changed: Tensor) -> Tensor:
        """The kept elements of one tensor with the changed ones of the other."""
        return torch.where(self.mask, kept, changed)

    def log_det(self, terms: Tensor) -> Tensor:
        """The sum over the elements that change."""
        return torch.where(self.mask, 0.0, terms).sum(tuple(range(-self.mask.dim(), 0)))


def checkerboard(event_shape: Sequence[int], *, flip: bool = False) -> Masked:
    """RealNVP's spatial mask: pixels whose coordinates sum to an even number pass; to an odd one, if flipped.

    Args:
        event_shape: (C, H, W), of two pixels or more.
        flip: see above.

    Raises:
        ValueError: if there is one pixel.
    """
    channels, height, width = event_shape
    if height * width < 2:
        raise ValueError(f"a checkerboard needs at least 2 pixels; got an image of {height} x {width}")
    even = (torch.arange(height)[:, None] + torch.arange(width)) % 2 == int(flip)
    return Masked(even.expand(channels, height, width).clone(), validate=False)


def joined(parts: Sequence[Tensor], *, dim: int) -> Tensor:
    """The parts in a row along a negative dimension, their batches, all dimensions before it, broadcast."""
    if any(part.shape[:dim] != parts[0].shape[:dim] for part in parts):
        batch = torch.broadcast_shapes(*(part.shape[:dim] for part in parts))
        parts = [part.expand(*batch, *part.shape[dim:]) for part in parts]
    return torch.cat(list(parts), dim=dim)
