"""What images can be trained on, as something with epochs."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from zoo.data import Batches
from zoo.errors import DataError
from zoo.seeds import mixed_seed
from zoo.training import parallel


def as_batches(data: Tensor | Batches | Iterable[Tensor], batch_size: int, seed: int) -> Any:
    """The data as something with ``epoch(e, start)`` and a length.

    Raises:
        DataError: if there are no images.
    """
    if isinstance(data, Tensor):
        return Batches(
            floating(data),
            min(batch_size, len(data)),
            seed=seed,
            rank=parallel.rank(),
            world_size=parallel.world_size(),
        )
    if hasattr(data, "epoch"):
        return data
    return _Iterated(data, seed)


class _Iterated:
    """An iterable of batches, such as a DataLoader, iterated over once an epoch.

    What it draws from PyTorch's global generator, the order of images or noise in them, belongs to
    (seed, epoch, batch).
    """

    def __init__(self, batches: Any, seed: int) -> None:
        self.batches, self.seed = batches, seed
        if not hasattr(batches, "__len__") or len(batches) == 0:
            raise DataError(
                "expected images (N, ...), Batches, or an iterable of batches with a length; got none"
            )

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Batches `start` and later of an epoch; those before are fetched and dropped."""
        count = 0
        self._draw_for(epoch, count)
        for batch in islice(self.batches, len(self)):
            if count >= start:
                yield _finite(batch[0] if isinstance(batch, (tuple, list)) else batch)
            count += 1
            self._draw_for(epoch, count)
        if count < len(self):
            raise DataError(f"expected {len(self)} batches an epoch, the data's length; got {count}")

    def _draw_for(self, epoch: int, batch: int) -> None:
        torch.default_generator.manual_seed(mixed_seed("batches", self.seed, epoch, batch))


def floating(x: Tensor) -> Tensor:
    """The images, checked to be real numbers.

    Raises:
        DataError: if they are not.
    """
    if not x.is_floating_point():
        raise DataError(
            f"expected floating-point images as the likelihood takes them; got {x.dtype}: encode them, "
            "zoo.data.Binary() or Grid()"
        )
    return x


def _finite(x: Any) -> Tensor:
    if not isinstance(x, Tensor):
        raise DataError(
            f"expected batches of images, tensors (B, ...), or tuples that begin with them; got {x!r:.60}"
        )
    if x.device.type == "cpu" and not x.isfinite().all():  # elsewhere looking would wait for the device
        raise DataError("expected finite images; got a batch with NaN or infinity")
    return x
