"""Training by several processes, one a device: ``torchrun --nproc-per-node 2 -m zoo train ...``.

Each process takes its slice of every batch and the gradients are averaged, so P processes train as one does
with the same batch; only rank 0 writes. `zoo evaluate` shares images and samples in the same way.
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from zoo.errors import ZooError
from zoo.ranks import gathered, of_first
from zoo.ranks import rank as rank
from zoo.ranks import world_size as world_size
from zoo.training.progress import Progress

T = TypeVar("T")

# While the first validates, pictures or fetches images; a process that ends is noticed at once.
PATIENCE_WITH_FIRST = timedelta(hours=2)

# What gloo and NCCL say in the processes that are left when one has ended.
LOST = ("Connection closed by peer", "Connection reset by peer", "Connection refused", "Broken pipe", "NCCL")


def synchronised(loss: nn.Module) -> Callable[..., Any]:
    """The loss with gradients averaged over the processes; the loss itself where there is one."""
    return DistributedDataParallel(loss) if world_size() > 1 else loss


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started, if it did."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or world_size() > 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)  # objects are gathered through the current device
    store, number, count = next(rendezvous("env://", timeout=PATIENCE_WITH_FIRST))
    # The store outlives a failure: what processes that have ended wrote there must not be read.
    attempt = PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=attempt,
        rank=number,
        world_size=count,
        timeout=PATIENCE_WITH_FIRST,
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()


def is_of_lost_process(error: BaseException) -> bool:
    """Whether an error is due to the end of another process."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    return started > 1 and any(sign in str(error) for sign in LOST)


def local_device(device: torch.device) -> torch.device:
    """This process's own GPU where there are several processes; else the device itself."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def first_shows(total: int, *, unit: str) -> Progress:
    """A progress bar that is seen once, on rank 0."""
    return Progress(total, unit=unit, stream=None if rank() == 0 else io.StringIO())


def from_first(work: Callable[[], T]) -> T:
    """What `work` returns on rank 0, in all of them; the others wait.

    Raises:
        ZooError: in every process.
    """
    result: Any = gathered(lambda: work() if rank() == 0 else None)[0]
    return cast(T, result)


def first_says(flag: bool, device: torch.device) -> bool:
    """The flag of rank 0, in every process; all call it."""
    return bool(of_first(torch.tensor(flag, device=device))) if world_size() > 1 else flag


def copy_first(module: nn.Module) -> None:
    """Give every process the parameters and buffers of the first.

    Parameters are alike after training; its buffers, such as running statistics, and which epoch was the best
    are known only to the first.
    """
    _copy_first(module.parameters())
    copy_first_buffers(module)


def copy_first_buffers(module: nn.Module) -> None:
    """Give every process the buffers of the first: in training each updates its own running statistics."""
    _copy_first(module.buffers())


@torch.no_grad()
def _copy_first(tensors: Iterable[Tensor]) -> None:
    if world_size() == 1:
        return
    for tensor in tensors:
        tensor.copy_(of_first(tensor.detach().clone(memory_format=torch.contiguous_format)))


def on_rank_zero(action: Callable[[], T]) -> T | None:
    """What `action` returns on rank 0, None in the others; where it fails all fail.

    Raises:
        ZooError: in every process.
    """
    if world_size() == 1:
        return action()
    result, failure = None, None
    if rank() == 0:
        try:
            result = action()
        except ZooError as error:
            failure = error
    shared = [failure]
    distributed.broadcast_object_list(shared)
    if shared[0] is not None:
        raise shared[0]
    return result


class AnyProcess:
    """Whether a flag is set in any of the processes, so that all stop after the same step.

    Every call starts a reduction that the next one collects: meanwhile a step is computed, so that with
    several processes the answer is one call late and costs no time. The flags are numbers on the CPU, in a
    group of their own: no device is waited for.
    """

    def __init__(self) -> None:
        self._group: Any = (
            distributed.new_group(backend="gloo", timeout=PATIENCE_WITH_FIRST) if world_size() > 1 else None
        )
        self._flag = torch.zeros((), dtype=torch.int32)
        self._pending: Any = None

    def __call__(self, flag: bool) -> bool:
        """The answer; with several processes, to the call before (False the first time)."""
        if self._group is None:
            return flag
        answer = self.collect()
        self._flag.fill_(int(flag))
        self._pending = distributed.all_reduce(
            self._flag, distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        return answer

    def collect(self) -> bool:
        """The answer to the last call."""
        if self._pending is not None:
            self._pending.wait()
        return bool(self._flag)
