"""Work on batches of images, k times each, by one process or shared by several."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from zoo.ranks import gathered, rank, shares, world_size

T = TypeVar("T")


def shared(
    work: Callable[[int, range], T],
    sizes: Sequence[int],
    k: int,
    *,
    distributed: bool,
    progress: Callable[[int], None] | None = None,
) -> list[list[T]]:
    """What was found for each batch: the results of its parts, in the order of the samples.

    A batch is one part where there is one process, or where one process has all of it.

    Args:
        work: called with a batch's number and which of the k samples are wanted.
        sizes: images of each batch.
        k: samples.
        distributed: whether all processes call this, with equal arguments, and each takes its share. All get
            all results, which should be on the CPU.
        progress: called with the number of images done after each batch; of several processes, as if all were
            as far as this one.

    Raises:
        ZooError: in every process, where `work` raises one in any.
    """
    alone = not distributed or world_size() == 1
    mine = [range(k)] * len(sizes) if alone else shares(sizes, k, rank(), world_size())

    def parts() -> dict[int, T]:
        bar, found = _Share(sizes, mine, progress), {}
        for j, samples in enumerate(mine):
            if samples:
                found[j] = work(j, samples)
                bar.advance(sizes[j] * len(samples))
        return found

    every = [parts()] if alone else gathered(parts)
    return [[found[j] for found in every if j in found] for j in range(len(sizes))]


class _Share:
    """Counts images of all processes by what this one has done."""

    def __init__(
        self, sizes: Sequence[int], mine: Sequence[range], progress: Callable[[int], None] | None
    ) -> None:
        self.images, self.progress = sum(sizes), progress
        self.whole = sum(size * len(samples) for size, samples in zip(sizes, mine, strict=True))
        self.done = self.shown = 0

    def advance(self, done: int) -> None:
        self.done += done
        images = self.images * self.done // self.whole
        if self.progress is not None:
            self.progress(images - self.shown)
        self.shown = images
