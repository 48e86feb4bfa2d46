"""Batches as a pure function of (seed, epoch, index), so that a run can stop and resume anywhere."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.data.encodings import Encoding
from zoo.errors import DataError, UsageError
from zoo.seeds import mixed_seed, seeded_generator


class Batches:
    """Float batches (B, C, H, W) of a block of images, in an order and with noise that are seeded.

    Batch i of epoch e depends on the images, the arguments here and (seed, e, i), and on nothing
    else: neither on the batches taken before it nor on torch's global generator. The order comes
    from a CPU generator seeded by (seed, e), the encoding's noise from one on the images' device
    seeded by (seed, e, i); a CPU and a GPU see the same order but other noise.

    With `world_size` > 1, for one process a device, each rank gets its slice of every global batch
    of `batch_size` images, and the slices of all ranks, joined, are the batch that a single process
    would get. That holds for the noise as well: each rank draws it for the whole global batch and
    keeps its slice. So no two ranks share noise, and the number of ranks does not change the data.

    Args:
        images: uint8 (N, C, H, W), values 0 .. levels-1; or floats (N, ...), handed on as they are.
        batch_size: images in a global batch, over all ranks; a multiple of `world_size`.
        encoding: what turns uint8 into floats; needed for uint8 images, refused for floats.
        levels: number of values a sub-pixel can take.
        seed: any integer.
        drop_last: drop the smaller batch at an epoch's end; kept if it is the only batch.
        shuffle: a new order each epoch; False keeps the images' order (the noise still changes).
        rank: this process's number, 0 .. world_size-1.
        world_size: number of processes that share each batch.

    Raises:
        DataError: images of another type, shape or range, or none at all.
        UsageError: a batch size or rank out of range, or a last batch smaller than `world_size`.
    """

    def __init__(
        self,
        images: Tensor,
        batch_size: int,
        *,
        encoding: Encoding | None = None,
        levels: int = 256,
        seed: int = 0,
        drop_last: bool = True,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check_images(images, encoding, levels)
        self.images = images
        self.batch_size = batch_size
        self.encoding = encoding
        self.levels = levels
        self.seed = seed
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self._check_sizes()

    def __len__(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(len(self.images), self.batch_size)
        return whole if whole and (self.drop_last or not rest) else whole + 1

    def to(self, device: torch.device | str) -> "Batches":
        """Move the stored images to `device` once; changes and returns this object."""
        self.images = self.images.to(device)
        return self

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Batches `start` .. len-1 of an epoch; those before `start` cost nothing.

        Args:
            epoch: number of the epoch, 0 or more.
            start: index of the first batch wanted, 0 .. len; at len there is nothing left.

        Raises:
            UsageError: `epoch` or `start` out of range.
        """
        if epoch < 0 or not 0 <= start <= len(self):
            raise UsageError(
                f"expected an epoch of 0 or more and a start in 0 .. {len(self)}; "
                f"got epoch={epoch}, start={start}"
            )
        return self._batches(epoch, start)

    def _batches(self, epoch: int, start: int) -> Iterator[Tensor]:
        order = self._order(epoch).to(self.images.device)
        noise = torch.Generator(self.images.device)
        for index in range(start, len(self)):
            chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
            # `tensor_split` is the one place that says which rank gets which images.
            if self.encoding is None:
                yield self.images[chosen.tensor_split(self.world_size)[self.rank]]
                continue
            noise.manual_seed(mixed_seed("noise", self.seed, epoch, index))
            batch = self.encoding(self.images[chosen], self.levels, noise)
            yield batch.tensor_split(self.world_size)[self.rank]

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self.images))
        generator = seeded_generator("order", self.seed, epoch)
        return torch.randperm(len(self.images), generator=generator)

    def _check_sizes(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"expected a batch size of at least 1; got {self.batch_size}")
        if not 0 <= self.rank < self.world_size:
            raise UsageError(
                f"expected 0 <= rank < world_size; got rank={self.rank}, world_size={self.world_size}"
            )
        if self.batch_size % self.world_size:
            raise UsageError(
                f"expected a batch size, over all ranks, that {self.world_size} ranks can share "
                f"evenly; got {self.batch_size}"
            )
        last = len(self.images) - (len(self) - 1) * self.batch_size
        if last < self.world_size:
            raise UsageError(
                f"expected at least one image for each of {self.world_size} ranks in every batch; "
                f"the last has {last}: take drop_last=True or another batch size"
            )


def _check_images(images: Tensor, encoding: Encoding | None, levels: int) -> None:
    if images.is_floating_point():
        _check_floats(images, encoding)
    else:
        _check_bytes(images, encoding, levels)


def _check_floats(images: Tensor, encoding: Encoding | None) -> None:
    if encoding is not None:
        raise DataError(f"expected uint8 images for {encoding}; got {images.dtype}, so drop it")
    if images.dim() < 2 or not images.numel():
        raise DataError(f"expected data of shape (N, ...), none of them 0; got {tuple(images.shape)}")
    if not math.isfinite(float(images.abs().max())):
        raise DataError("expected finite images; got NaN or infinity")


def _check_bytes(images: Tensor, encoding: Encoding | None, levels: int) -> None:
    if images.dtype != torch.uint8:
        raise DataError(f"expected uint8 or float images; got {images.dtype}")
    if images.dim() != 4 or not images.numel():
        raise DataError(f"expected images of shape (N, C, H, W), none of them 0; got {tuple(images.shape)}")
    if encoding is None:
        raise DataError("expected an encoding for uint8 images, e.g. encoding=Binary(), Grid() or Unit()")
    if not 2 <= levels <= 256 or int(images.max()) >= levels:
        raise DataError(
            f"expected levels in 2 .. 256 and images below it; got levels={levels} and a largest "
            f"value of {int(images.max())}: pass the set's own `levels`"
        )
