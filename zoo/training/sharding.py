"""Training of a model whose state does not fit one device: fully sharded data parallelism (FSDP2).

Each of P processes holds a shard of every parameter, a P-th of the rows of its first dimension, and the same
shard of its gradient, of the optimiser's moments and of the average. A network that occurs several times
(`separate_blocks`) is gathered while it is called, and again in the backward pass; all other parameters are
gathered for a whole step (arXiv:2304.11277).

PyTorch's `fully_shard` works on a copy of the loss, whose parameters become `DTensor`. The parameters of the
loss itself are the shards, plain tensors in the same memory: optimiser, average, clipping and saved states
are the ordinary ones. What is evaluated is gathered first (`Shards.whole`); then any of its methods may be
called, in one process or in all.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from zoo.ranks import rank, world_size


class Shards:
    """The shards of a loss's parameters that this process holds.

    Scalars are not sharded: every process has them, and their gradients are averaged here.

    Args:
        loss: whose parameters become shards; alike in all processes.
        blocks: names of modules that are gathered one by one.

    Attributes:
        running: the twin of the loss, which is called in training.
    """

    def __init__(self, loss: nn.Module, blocks: Sequence[str]) -> None:
        self.loss, self.blocks, self.running = loss, blocks, _twin(loss)
        self._layout: dict[nn.Parameter, Any] = {}

    def shard(self, device: torch.device) -> None:
        """Keep this process's shard of every parameter; `device` is the one that they are on."""
        mesh = init_device_mesh(device.type, (world_size(),))
        scalars = {p for p in self.running.parameters() if not p.dim()}
        for module in (*map(self.running.get_submodule, self.blocks), self.running):
            fully_shard(module, mesh=mesh, ignored_params=scalars)
        for own, shard in zip(self.loss.parameters(), self.running.parameters(), strict=True):
            if own.dim():
                self._layout[own] = shard
                own.data = cast(Any, shard).detach().to_local()

    def collect(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give the parameters their gradients from a backward pass of `running`, means over processes."""
        for parameter in parameters:
            shard = self._layout.get(parameter)
            if shard is not None:
                parameter.grad = None if shard.grad is None else shard.grad.to_local()
                shard.grad = None
            elif parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= world_size()

    def norms(self, parameters: Sequence[nn.Parameter], of_shards: Tensor) -> Tensor:
        """The norms of the whole gradients, (n,), from those of this process's shards, (n,)."""
        weights = [1.0 if p in self._layout else 1 / world_size() for p in parameters]  # scalars: once in all
        squares = of_shards.square() * of_shards.new_tensor(weights)
        distributed.all_reduce(squares)
        return squares.sqrt()

    @contextmanager
    def whole(self, module: nn.Module) -> Iterator[None]:
        """Within this context the loss, or a copy of it, has whole parameters; all processes enter it."""
        shards = [p.data for p in module.parameters()]
        self.complete(module)
        try:
            yield
        finally:
            for parameter, shard in zip(module.parameters(), shards, strict=True):
                parameter.data = shard

    @torch.no_grad()
    def complete(self, module: nn.Module) -> None:
        """Make the parameters of the loss, or of a copy of it, whole for good; all processes call it."""
        for parameter, own in zip(module.parameters(), self.loss.parameters(), strict=True):
            parameter.grad = None
            if own in self._layout:
                parameter.data = _gathered(parameter.data, self._layout[own])

    def full_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state of a `zoo.training.update.Update` with whole tensors, on the CPU of the first process.

        All processes call it; the others get None in place of tensors that were gathered.
        """

        def gather(shard: Tensor, layout: Any) -> Tensor | None:
            gathered = _gathered(shard, layout)  # one at a time: this device need not hold them all
            return gathered.cpu() if rank() == 0 else None

        return self._converted(state, gather)

    def sharded_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """This process's shards of a state with whole tensors, saved by any number of processes."""

        def shard(whole: Tensor, layout: Any) -> Tensor:
            found: Any = distribute_tensor(whole, layout.device_mesh, layout.placements, src_data_rank=None)
            return found.to_local().clone()  # not a view of the whole

        return self._converted(state, shard)

    def _converted(self, state: dict[str, Any], convert: Callable[[Tensor, Any], Any]) -> dict[str, Any]:
        """The state with ``convert(tensor, layout)`` in place of each tensor whose parameter is sharded."""
        by_name = {n: self._layout.get(p) for n, p in self.loss.named_parameters(remove_duplicate=False)}
        of_average = {f"module.{name}": layout for name, layout in by_name.items()}
        trained = [self._layout.get(p) for p in self.loss.parameters() if p.requires_grad]
        optimizer = state["optimizer"]
        moments = {
            i: {k: convert(v, trained[i]) if _is_sharded(v, trained[i]) else v for k, v in moments.items()}
            for i, moments in optimizer["state"].items()
        }
        average = state["average"]
        return {
            **state,
            "loss": _replaced(state["loss"], by_name, convert),
            "average": None if average is None else _replaced(average, of_average, convert),
            "optimizer": {**optimizer, "state": moments},
        }


def _twin(loss: nn.Module) -> nn.Module:
    """A copy of a loss with its buffers and scalars and, until it is sharded, its parameters' memory."""
    memo: dict[int, Any] = {id(buffer): buffer for buffer in loss.buffers()}
    for parameter in loss.parameters():
        shared = nn.Parameter(parameter.detach(), parameter.requires_grad)
        memo[id(parameter)] = shared if parameter.dim() else parameter
    copied = copy.deepcopy(loss, memo)
    for own, other in zip(loss.modules(), copied.modules(), strict=True):
        other._buffers = own._buffers  # a module may replace one
    return copied


def _gathered(shard: Tensor, layout: DTensor) -> Tensor:
    """The whole tensor of which every process has a shard."""
    options: dict[str, Any] = {"run_check": False, "shape": layout.shape, "stride": layout.stride()}
    shards = DTensor.from_local(shard, layout.device_mesh, layout.placements, **options)
    return shards.full_tensor().contiguous()


def _is_sharded(value: Any, layout: Any) -> bool:
    """Whether a value of the optimiser's state is sharded like its parameter; a count of steps is not."""
    return layout is not None and isinstance(value, Tensor) and value.dim() > 0


def _replaced(
    tensors: dict[str, Any], layouts: Mapping[str, Any], convert: Callable[[Tensor, Any], Any]
) -> dict[str, Any]:
    found = copy.copy(tensors)  # with its `_metadata`, the versions of the modules
    for name, layout in layouts.items():
        if layout is not None:
            found[name] = convert(tensors[name], layout)
    return found
