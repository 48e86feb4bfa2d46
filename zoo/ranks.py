"""The processes that work together, one a device, as `torch.distributed` numbers them."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from torch import Tensor, distributed

from zoo.errors import ZooError

T = TypeVar("T")

PATIENCE = timedelta(days=1)  # for the slowest share of an evaluation; a process that ends is noticed at once


def rank() -> int:
    """This process's number, 0 where there is one process."""
    return distributed.get_rank() if _initialised() else 0


def world_size() -> int:
    """How many processes work together."""
    return distributed.get_world_size() if _initialised() else 1


def of_first(tensor: Tensor) -> Tensor:
    """The tensor of rank 0, in every process; all call it, with tensors of one shape."""
    if world_size() > 1:
        distributed.broadcast(tensor, src=0)
    return tensor


def gathered(work: Callable[[], T]) -> list[T]:
    """What `work` returns in each process, by rank, in all of them; all call it.

    The results travel through the CPU: tensors on a GPU should be moved there before.

    Raises:
        ZooError: in every process, where `work` raises one in any.
    """
    if world_size() == 1:
        return [work()]
    group: Any = distributed.new_group(backend="gloo", timeout=PATIENCE)
    result, failure = None, None
    try:
        result = work()
    except ZooError as error:
        failure = error
    found: list[Any] = [None] * world_size()
    distributed.all_gather_object(found, (result, failure), group=group)
    distributed.destroy_process_group(group)
    for _, failure in found:
        if failure is not None:
            raise failure
    return [result for result, _ in found]


def shares(sizes: Sequence[int], k: int, rank: int, world_size: int) -> list[range]:
    """Which of k repetitions of each piece of work fall to a process.

    All repetitions of the first piece, then of the second and so on, lie in a row, each as long as its piece
    is large. The row is cut into `world_size` equal parts, and a repetition belongs to the part in which it
    begins: nothing is done twice or added, and no process has more than one repetition too many.

    >>> [shares([100, 1], 10, rank, 2) for rank in range(2)]
    [[range(0, 6), range(0, 0)], [range(6, 10), range(0, 10)]]

    Args:
        sizes: of the pieces, such as the images of a batch.
        k: repetitions of every piece, such as samples.
        rank: of the process.
        world_size: how many processes there are.
    """
    total, before, found = k * sum(sizes), 0, []
    for size in sizes:
        start, stop = (
            min(max(0, -((before * world_size - r * total) // (size * world_size))), k)
            for r in (rank, rank + 1)
        )
        found.append(range(start, stop))
        before += k * size
    return found


def _initialised() -> bool:
    return distributed.is_available() and distributed.is_initialized()
