"""The base of causal networks, and how an image is drawn by one."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distributions.ancestral import SamplingTask
from distributions.draws import draw
from flows.flow import as_shape
from zoo.nn.causal.places import EVERYWHERE, Memory, Pixel, Place


class CausalNetwork(nn.Module):
    """Base of networks for `distributions.Autoregressive` over images in raster order.

    Derive from it and define ``features(x, context, at)``, written with layers that ask the place `at` for
    other pixels (`zoo.nn.causal.places`); x is embedded already.

    Args:
        image_shape: (C, H, W).
        groups: 1, if a pixel's channels are drawn together; C, if one after the other, R, G, B.
        context: shape of one context, (K,) or (K, H, W), if the network takes one.
        margin: how far the first layer looks to any side.

    Attributes:
        event_shape, sites, context_shape: see `distributions.autoregressive.Network`.
    """

    sites: Tensor

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        groups: int = 1,
        context: int | Sequence[int] | None = None,
        margin: int,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.event_shape = (channels, height, width)
        self.context_shape = None if context is None else as_shape(context)
        self.groups, self.margin = groups, margin
        self.register_buffer("sites", raster_sites(self.event_shape, groups), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Features (N, F, H, W) of x (N, C, H, W), each of what comes before it."""
        return self.features(self.embed(x), context, EVERYWHERE)

    def embed(self, x: Tensor) -> Tensor:
        """The input of the first layer, computed from x pixel by pixel."""
        return x

    def features(self, x: Tensor, context: Tensor | None, at: Place) -> Tensor:
        """Features at a place."""
        raise NotImplementedError

    def sampler(self, task: SamplingTask) -> Tensor:
        """Pixel after pixel, each of them one column of the network (arXiv:1704.06001)."""
        x = task.start.clone()
        _, height, width = self.event_shape
        memory = Memory((height, width), margin=self.margin, image=self.embed(x))
        for row in range(height):
            for column in range(width):
                self._draw(task, memory, x, row, column)
            task.progress((row + 1) / height)
        return x

    def _draw(self, task: SamplingTask, memory: Memory, x: Tensor, row: int, column: int) -> None:
        """Draw the pixel of x, group after group."""
        here: Any = (..., slice(row, row + 1), slice(column, column + 1))
        pixel, sites = x[here], self.sites[here]
        for site in range(int(sites.min()), int(sites.max()) + 1):
            embedded = self.embed(pixel)[..., 0, 0]
            features = self.features(embedded, task.context, Pixel(memory, row, column))
            drawn = draw(task.head(features[..., None, None]), task.noise[here])
            pixel.copy_(torch.where(task.free[here] & (sites == site), drawn, pixel))
            memory.write(row, column, self.embed(pixel)[..., 0, 0])


def raster_sites(event_shape: Sequence[int], groups: int) -> Tensor:
    r"""The turn at which each element is drawn: position after position, in each of them group after group.

    Args:
        event_shape: (C, \*space), of an image or a sequence.
        groups: of channels, drawn one after the other.

    Returns:
        Integers of the event's shape; elements with the same one are drawn together.
    """
    channels, *space = event_shape
    positions = torch.arange(math.prod(space)).view(1, *space)
    group = torch.arange(channels).view(-1, *[1] * len(space)) * groups // channels
    return positions * groups + group
