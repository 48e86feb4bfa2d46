"""Causal networks by name, small, for the laws; a new one joins by a line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.nn.causal import (
    MADE,
    DiagonalBiLSTM,
    GatedPixelCNN,
    PixelCNN,
    PixelCNNpp,
    PlainPixelCNN,
    RowLSTM,
    WaveNet,
)


@dataclass(frozen=True)
class Case:
    """How a network is made.

    Attributes:
        make: the network.
        cached: whether it has a sampler of its own.
        blind: whether it is known not to see all that comes before, by construction.
    """

    make: Callable[[], Any]
    cached: bool = True
    blind: bool = False

    def network(self, seed: int = 0) -> Any:
        """In float64, evaluation mode, all parameters random, the same at every call."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = self.make().double().eval()
            for parameter in network.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
        return network


CASES = {
    "pixelcnn": Case(lambda: PixelCNN((1, 5, 6), 1, channels=3, blocks=2, head=4), blind=True),
    "pixelcnn of colours": Case(
        lambda: PixelCNN((3, 4, 5), 6, channels=6, blocks=2, head=6, groups=3), blind=True
    ),
    "pixelcnn, channels together": Case(lambda: PixelCNN((2, 4, 3), 7, channels=3, blocks=1, head=4)),
    "pixelcnn given a class": Case(lambda: PixelCNN((1, 4, 3), 1, channels=3, blocks=2, head=4, context=2)),
    "pixelcnn given a map": Case(
        lambda: PixelCNN((1, 4, 3), 1, channels=3, blocks=2, head=4, context=(2, 4, 3))
    ),
    "plain": Case(lambda: PlainPixelCNN((1, 5, 6), 1, channels=3, layers=3), blind=True),
    "plain of colours": Case(lambda: PlainPixelCNN((3, 4, 5), 6, channels=6, layers=2, groups=3), blind=True),
    "plain given a map": Case(
        lambda: PlainPixelCNN((1, 4, 3), 1, channels=3, layers=2, context=(2, 4, 3)), blind=True
    ),
    "gated": Case(lambda: GatedPixelCNN((1, 5, 6), 1, channels=4, layers=4, head=4, kernel=5)),
    "gated of colours": Case(
        lambda: GatedPixelCNN((3, 4, 5), 6, channels=6, layers=4, head=6, kernel=3, groups=3)
    ),
    "gated, channels together": Case(
        lambda: GatedPixelCNN((2, 4, 3), 7, channels=4, layers=4, head=4, kernel=3)
    ),
    "gated given a class": Case(lambda: GatedPixelCNN((1, 4, 3), 1, channels=4, layers=3, head=4, context=2)),
    "gated given a map": Case(
        lambda: GatedPixelCNN((1, 4, 3), 1, channels=4, layers=3, head=4, context=(2, 4, 3))
    ),
    "gated of one layer": Case(lambda: GatedPixelCNN((1, 3, 3), 1, channels=4, layers=1, head=4)),
    "pixelcnn++": Case(lambda: PixelCNNpp((1, 4, 4), 1, channels=3, resnets=1)),
    "pixelcnn++ of odd sizes": Case(lambda: PixelCNNpp((1, 5, 6), 1, channels=2, resnets=2)),
    "pixelcnn++ of colours": Case(lambda: PixelCNNpp((2, 3, 5), 7, channels=3, resnets=1)),
    "pixelcnn++ of two resolutions": Case(
        lambda: PixelCNNpp((1, 3, 5), 1, channels=3, resnets=2, resolutions=2)
    ),
    "pixelcnn++ of one resolution": Case(
        lambda: PixelCNNpp((1, 4, 3), 1, channels=3, resnets=2, resolutions=1, weight_norm=False)
    ),
    "pixelcnn++ given a class": Case(lambda: PixelCNNpp((1, 4, 3), 1, channels=3, resnets=1, context=2)),
    "pixelcnn++ given a map": Case(
        lambda: PixelCNNpp((1, 5, 3), 1, channels=3, resnets=1, context=(2, 5, 3))
    ),
    "row lstm": Case(lambda: RowLSTM((1, 5, 9), 1, channels=3, layers=2, head=4), cached=False, blind=True),
    "row lstm of colours": Case(
        lambda: RowLSTM((3, 4, 5), 6, channels=6, layers=2, head=6, kernel=3, groups=3),
        cached=False,
        blind=True,
    ),
    "row lstm, channels together": Case(
        lambda: RowLSTM((2, 4, 3), 7, channels=3, layers=1, head=4), cached=False
    ),
    "row lstm given a class": Case(
        lambda: RowLSTM((1, 4, 3), 1, channels=3, layers=2, head=4, context=2), cached=False
    ),
    "row lstm given a map": Case(
        lambda: RowLSTM((1, 4, 3), 1, channels=3, layers=2, head=4, context=(2, 4, 3)), cached=False
    ),
    "diagonal bilstm": Case(lambda: DiagonalBiLSTM((1, 4, 7), 1, channels=3, layers=2, head=4), cached=False),
    "diagonal bilstm as published": Case(
        lambda: DiagonalBiLSTM((1, 4, 7), 1, channels=3, layers=2, head=4, extra=0), cached=False, blind=True
    ),
    "diagonal bilstm of colours": Case(
        lambda: DiagonalBiLSTM((3, 5, 4), 6, channels=6, layers=2, head=6, kernel=3, groups=3), cached=False
    ),
    "diagonal bilstm, channels together": Case(
        lambda: DiagonalBiLSTM((2, 4, 3), 7, channels=3, layers=1, head=4), cached=False
    ),
    "diagonal bilstm given a class": Case(
        lambda: DiagonalBiLSTM((1, 4, 3), 1, channels=3, layers=2, head=4, context=2), cached=False
    ),
    "diagonal bilstm given a map": Case(
        lambda: DiagonalBiLSTM((1, 4, 3), 1, channels=3, layers=2, head=4, context=(2, 4, 3)), cached=False
    ),
    "made": Case(lambda: MADE((1, 4, 3), 1, hidden=(11, 12)), cached=False),
    "made of colours": Case(lambda: MADE((3, 2, 3), 6, hidden=(17,), groups=3), cached=False),
    "made given a class": Case(lambda: MADE((1, 4, 3), 1, hidden=(24, 24), context=2), cached=False),
    "made given a map": Case(lambda: MADE((1, 4, 3), 1, hidden=(24,), context=(2, 4, 3)), cached=False),
    "wavenet": Case(lambda: WaveNet((1, 9), 1, channels=3, dilations=(1, 2, 4), skip=4, head=4)),
    "wavenet of one layer": Case(
        lambda: WaveNet((1, 12), 1, channels=3, dilations=(2,), kernel=3, skip=4, head=4), blind=True
    ),
    "wavenet, channels in turn": Case(
        lambda: WaveNet((3, 7), 6, channels=6, dilations=(1, 2, 4), skip=6, head=6, groups=3)
    ),
    "wavenet, channels together": Case(
        lambda: WaveNet((2, 9), 7, channels=3, dilations=(1, 3), kernel=3, skip=4, head=4)
    ),
    "wavenet given a class": Case(
        lambda: WaveNet((1, 9), 1, channels=3, dilations=(1, 2, 4), skip=4, head=4, context=2)
    ),
    "wavenet given a sequence": Case(
        lambda: WaveNet((1, 9), 1, channels=3, dilations=(1, 2, 4), skip=4, head=4, context=(2, 9))
    ),
    "wavenet of images": Case(
        lambda: WaveNet((3, 2, 4), 6, channels=6, dilations=(1, 2, 4), skip=6, head=6, groups=3)
    ),
    "wavenet of images given a map": Case(
        lambda: WaveNet(
            (1, 4, 3), 1, channels=3, dilations=(1, 4), kernel=4, skip=4, head=4, context=(2, 4, 3)
        )
    ),
}


def context(network: Any, n: int, seed: int = 0) -> Tensor | None:
    """Normal contexts (n, *context_shape), None where the network takes none."""
    if network.context_shape is None:
        return None
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *network.context_shape, generator=generator, dtype=torch.float64)


def images(network: Any, n: int, seed: int = 0) -> Tensor:
    """Uniform x (n, *event_shape)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, *network.event_shape, generator=generator, dtype=torch.float64)
