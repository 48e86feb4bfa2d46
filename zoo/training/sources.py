"""What images can be trained on, as something with epochs."""

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor

from zoo.data import Batches
from zoo.errors import DataError
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
    return _Iterated(data)


class _Iterated:
    """An iterable of batches, a DataLoader, say, gone through once an epoch."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches
        if not hasattr(batches, "__len__") or len(batches) == 0:
            raise DataError(
                "expected images (N, ...), Batches, or an iterable of batches with a length; got none"
            )

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        for i, batch in enumerate(self.batches):
            if i >= start:
                yield batch[0] if isinstance(batch, (tuple, list)) else batch


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
